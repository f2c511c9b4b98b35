"""The server as it is deployed: replicas, the store's own process, and what remains when one of them is killed."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.serve

from bench.client import Client
from bench.ledger import Ledger, audit, load
from bench.processes import (
    BALANCER,
    CONTROLLER,
    GATEWAY,
    RANKER,
    RETRIEVER,
    STORE,
    WATCHDOG,
    kill_one,
    named,
    signal_one,
)
from cluster.errors import RuntimeStartError
from cluster.haproxy import free_port
from serve.app import Gateway, gateway_settings, replica_api
from serve.config import AppArgs
from serve.store_host import close_store, ensure_store
from tests.serve.deployed import Answers, Server, live_state_hash, replayed, until, wait_until
from tests.serve.shop import KNOWN, copied, item_ids
from tests.serve.state.state_world import run
from train.registry import Registry

pytestmark = pytest.mark.ray

# One call of ten does not arrive, one answer of ten does not come back.
LOSSES = {
    "CoreWorkerService.grpc_client.PushTask": {"num_failures": -1, "req_failure_prob": 10, "resp_failure_prob": 10}
}
ITEMS = [f"i{index:04d}" for index in range(24)]


@pytest.fixture(scope="module")
def server(ray_cluster: str, registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    server = Server(free_port(), shutil.copytree(registry, folder / "registry"), folder / "data")
    server.deploy("fused")
    yield server
    ray.serve.shutdown()
    close_store()


def seen_by_all(server: Server, user: str) -> None:
    """Fail unless a click is visible over twenty connections, which the balancer spreads over the replicas."""
    version = server.click(user, "i0003")
    slates = [server.post("/v1/recommendations", user=user, minVersion=version) for _ in range(20)]
    assert all(slate["degraded"] == [] and slate["stateVersion"] >= version for slate in slates)
    assert all(slate["fallback"] == "none" and "i0003" not in item_ids(slate) for slate in slates)


def test_a_click_is_visible_through_any_replica(server: Server) -> None:
    assert len(named(GATEWAY, os.getpid())) == 2
    seen_by_all(server, "clicker")


def test_a_written_item_is_shown_by_any_replica_until_it_is_taken_away(server: Server) -> None:
    for change in ({"categoryPath": "Shop > Ring 0"}, {"deleted": True}):
        version = server.post("/v1/catalogues/products/items:batch", id="written", **change)["version"]
        slates = [server.post("/v1/recommendations", user="x", count=100, minVersion=version) for _ in range(20)]
        assert {"written" in item_ids(slate) for slate in slates} == {"deleted" not in change}


def test_a_killed_gateway_fails_only_what_it_was_answering(server: Server) -> None:
    kill_one(GATEWAY, os.getpid())
    assert until(server.answers, in_a_row=50) <= 5


def test_a_killed_controller_fails_nothing_and_comes_back(server: Server) -> None:
    killed = kill_one(CONTROLLER, os.getpid())
    assert until(server.answers, in_a_row=50) == 0
    wait_until(lambda: named(CONTROLLER, os.getpid()) not in ([], [killed]))


def test_a_killed_balancer_comes_back(server: Server) -> None:
    kill_one(BALANCER, os.getpid())
    assert not server.answers()
    wait_until(server.answers)
    until(server.answers, in_a_row=50)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"data": "another"}, "log is in .*served.*give data="), ({"store": {"recent_events": 7}}, "has other settings")],
)
def test_a_running_server_keeps_its_log_and_its_settings(server: Server, change: dict[str, Any], said: str) -> None:
    args = AppArgs.checked({"registry": str(server.registry), "data": str(server.data)} | change)
    with pytest.raises(RuntimeStartError, match=said):
        ensure_store(str(Registry(server.registry).find("current")), args)
    assert server.answers()


@pytest.fixture(scope="module")
def another(server: Server) -> str:
    """A published bundle that is not served."""
    return copied(Registry(server.registry).find("current"), server.registry / "promoted").name


def promoted_and_taken_back(server: Server, another: str, name: int) -> None:
    """Fail unless another bundle and then the old one are served without a failed request."""
    registry = Registry(server.registry)
    old = registry.find("current")
    ledger, answers = Ledger(ITEMS), Answers(server)
    with load(server.port, ledger, callers=2, name=name), answers:
        for verb, served in (("promote", another), ("rollback", old.name)):
            assert ledger.wait_for_more(20, timeout_s=30) < 30
            assert server.work(f"/v1/models/{another}:{verb}") == {"version": served}
            assert registry.current() == served
            assert ledger.wait_for_more(20, timeout_s=30) < 30
    assert ledger.strange == []
    assert (ledger.refusals, answers.failed) == (0, [])
    assert {old.name, another} == answers.versions
    assert audit(server.port, ledger) == (0, 0)
    wait_until(lambda: named("ray::op_", os.getpid()) == [])


def test_another_bundle_is_promoted_and_taken_back_without_a_failed_request(server: Server, another: str) -> None:
    promoted_and_taken_back(server, another, name=0)


def test_a_snapshot_holds_the_state_as_it_is(server: Server) -> None:
    version = server.work("/v1/snapshots")["version"]
    [told, *_] = Client(server.port).get("/v1/snapshots").body["snapshots"]
    assert (told["version"], told["stateHash"]) == live_state_hash()
    assert told["version"] == version
    for path in server.data.glob("snapshot-*"):
        path.unlink()  # so that the log alone has to do below


def test_staged_replicas_answer_as_fused_ones_did(server: Server) -> None:
    version = server.click(KNOWN, ITEMS[0])
    before = server.post("/v1/recommendations", user=KNOWN, count=24, minVersion=version)
    ray.serve.delete("liveshelf")  # fresh replicas are there sooner than a rolling update
    server.deploy("staged")
    after = server.post("/v1/recommendations", user=KNOWN, count=24, minVersion=version)
    assert before["stateVersion"] == after["stateVersion"] == version
    assert after["items"] == before["items"]
    seen_by_all(server, "other clicker")


@pytest.mark.parametrize("stage", [RETRIEVER, RANKER])
def test_the_gateways_do_the_work_of_a_killed_stage_until_it_is_back(server: Server, stage: str) -> None:
    killed = kill_one(stage, os.getpid())
    assert until(server.answers, in_a_row=30) <= 2
    wait_until(lambda: named(stage, os.getpid()) not in ([], [killed]))


@pytest.mark.slow
def test_another_bundle_and_its_stages_are_promoted_and_taken_back_too(server: Server, another: str) -> None:
    server.deploy("staged")  # as it is already, but where this test runs alone
    promoted_and_taken_back(server, another, name=3)
    assert len(named(RETRIEVER, os.getpid())) == len(named(RANKER, os.getpid())) == 1


def test_a_killed_store_loses_nothing_that_was_acknowledged(server: Server) -> None:
    ledger = Ledger(ITEMS)
    with load(server.port, ledger, callers=3):
        assert ledger.wait_for_more(30, timeout_s=30) < 30
        killed = kill_one(STORE, os.getpid())
        assert ledger.wait_for_more(30, timeout_s=30) < 30
    assert named(STORE, os.getpid()) != [killed]
    assert audit(server.port, ledger) == (0, 0)


def test_a_frozen_store_is_replaced_and_loses_nothing_that_was_acknowledged(server: Server) -> None:
    ledger, before = Ledger(ITEMS), server.click("before", ITEMS[0])
    with load(server.port, ledger, callers=3, name=1):
        assert ledger.wait_for_more(30, timeout_s=30) < 30
        frozen = signal_one(STORE, os.getpid(), signal.SIGSTOP)
        assert server.answers()
        meanwhile = Client(server.port).post("/v1/events", {"type": "click", "user": "u", "item": "i0003"})
        assert meanwhile.status in (200, 503)  # the gateway sends it again for a while, perhaps until the store is back
        assert ledger.wait_for_more(30, timeout_s=60) < 60
    assert named(STORE, os.getpid()) != [frozen]
    assert audit(server.port, ledger) == (0, 0)
    # Each once: beside the ledger's there are the click of meanwhile, which may be in, and the one that tells.
    assert server.click("after", ITEMS[0]) - before - len(ledger.acks) in (1, 2)


def test_a_killed_watchdog_comes_back(server: Server) -> None:
    killed = kill_one(WATCHDOG, os.getpid())
    wait_until(lambda: named(WATCHDOG, os.getpid()) not in ([], [killed]))


def test_the_state_is_what_a_replay_of_the_log_comes_to(server: Server) -> None:
    server.click("replayed", ITEMS[1])
    version, state_hash = live_state_hash()
    assert version > 0
    close_store()
    wait_until(lambda: named(STORE, os.getpid()) == named(WATCHDOG, os.getpid()) == [])
    assert not list(server.data.glob("snapshot-*"))
    assert run(replayed(server)) == (version, state_hash)


@pytest.mark.slow
def test_lost_calls_and_lost_answers_lose_no_event_and_apply_none_twice(server: Server) -> None:
    args = AppArgs.checked({name: value for name, value in server.args.items() if name != "port"})
    folder = str(Registry(server.registry).find("current"))
    ray.serve.delete("liveshelf")
    ensure_store(folder, args)
    options = {"num_cpus": 0, "runtime_env": {"env_vars": {"RAY_testing_rpc_failure": json.dumps(LOSSES)}}}
    gateway = ray.serve.deployment(ray_actor_options=options)(ray.serve.ingress(replica_api([]))(Gateway))
    ray.serve.run(gateway.bind(*gateway_settings({"": folder}, args)), name="liveshelf")
    until(server.answers, in_a_row=5)
    ledger, callers, (before, _) = Ledger(ITEMS), 3, live_state_hash()
    with load(server.port, ledger, callers, name=4):
        assert ledger.wait_for_more(150, timeout_s=60) < 60
    assert audit(server.port, ledger) == (0, 0)
    after = live_state_hash()
    assert after[0] - before - len(ledger.acks) in range(callers + 1)  # each may have left before its last ack
    close_store()
    assert run(replayed(server)) == after


def test_what_the_balancer_refuses_is_a_problem(server: Server) -> None:
    client = Client(server.port)
    answer = client.post("/v1/events", {"text": "x" * 262_144})
    assert (answer.status, answer.body["status"]) == (413, 413)
    client.close()


def test_a_deployed_server_holds_to_its_rates_and_origins_whatever_address_is_forged(server: Server) -> None:
    ray.serve.delete("liveshelf")  # fresh replicas are there sooner than a rolling update
    page = "https://shop.example"
    server.deploy("fused", rates={"address": 0.01, "burst_s": 400}, origins=page)
    found = list[int]()
    for number in range(20):
        forged = dict.fromkeys(("x-liveshelf-address", "x-forwarded-for"), f"198.51.100.{number}")
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
            connection.request("GET", "/v1/popular", headers=forged | {"x-liveshelf-cluster": "", "origin": page})
            answer = connection.getresponse()
            found.append(answer.status)
            assert json.loads(answer.read()).get("status", 200) == answer.status
            assert answer.headers["access-control-allow-origin"] == page
            assert (answer.headers["retry-after"] is not None) == (answer.status == 429)
    assert set(found) == {200, 429}
    assert 4 <= found.count(200) <= 8  # a burst of each gateway that was asked
