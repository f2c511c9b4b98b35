"""`ray up cluster.yaml` as committed: three machines, gateways on all, one killed, and nothing left afterwards."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bench.client import Client
from bench.ledger import Ledger, audit, load
from bench.readers import Readers
from bench.shop import publish_shop
from cluster.environment import ROOT
from tests.cluster.launched import AT_HOME, PORT, SETTINGS, Cluster, launched, wait_until
from tests.cluster.nodes import Node, missing, network

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(missing()), reason=missing() or "has all it needs")]

ITEMS = [f"i{index}" for index in range(200)]
USERS = [f"u{index}" for index in range(50)]
GATEWAY = "ray::ServeReplica:liveshelf:Gateway"
HEALTH = f"{AT_HOME} python -m cluster.health nodes=3"
CUT_S = 2.0  # less than a node may be silent before it counts as dead
ENOUGH_READS = 3_000  # to tell one that failed from one in a thousand
PATIENCE_S = 240  # until something is there, on a machine that is busy with other things too


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    began = time.monotonic()
    with network(3, ROOT / ".venv") as machines, launched(machines) as cluster:
        wait_until(lambda: cluster.n_nodes() == 3, PATIENCE_S)
        tell(f"ray up: three nodes after {time.monotonic() - began:.0f} s")
        yield cluster


@pytest.fixture(scope="module")
def key(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server started on the running cluster, with a bundle and keys that only the head has; a key of all scopes."""
    registry = tmp_path_factory.mktemp("registry")
    publish_shop(registry, len(ITEMS), len(USERS))
    cluster.ray("rsync-up", str(cluster.yaml), f"{registry}/", "~/liveshelf/var/registry/")
    key = next(word for word in cluster.exec(new_key("owner", "admin")).split() if word.startswith("ls_"))
    began = time.monotonic()
    cluster.exec(f"{AT_HOME} python serve/run.py start {SETTINGS}")
    for node in cluster.machines.nodes:
        wait_until(lambda node=node: status(node, key) == 200, PATIENCE_S)
    tell(f"serve/run.py start: every node answers after {time.monotonic() - began:.0f} s")
    return key


def tell(line: str) -> None:
    print(f"\n  {line}", flush=True)


def new_key(name: str, scopes: str) -> str:
    return f"cd ~/liveshelf && python -m cluster.keys create name={name} scopes={scopes}"


def ask(node: Node, key: str, path: str, **body: Any) -> Any:
    """Return the JSON of a good answer through a node's port."""
    client = Client(PORT, node.address, key=key)
    answer = client.post(path, body)
    client.close()
    assert answer.status == 200, (node.name, answer)
    return answer.body


def status(node: Node, key: str) -> int:
    client = Client(PORT, node.address, key=key)
    found = client.post("/v1/recommendations", {"user": "u1", "count": 3}).status
    client.close()
    return found


def gateways(node: Node) -> list[int]:
    return [pid for pid, line in node.processes().items() if line.startswith(GATEWAY)]


def test_every_node_has_a_gateway_and_answers(cluster: Cluster, key: str) -> None:
    assert [len(gateways(node)) for node in cluster.machines.nodes] == [1, 1, 1]
    for node in cluster.machines.nodes:
        assert len(ask(node, key, "/v1/recommendations", user="u1", count=3)["items"]) == 3


def test_an_event_through_one_node_is_seen_through_every_other(cluster: Cluster, key: str) -> None:
    for sender in cluster.machines.nodes:
        body = {"type": "click", "user": f"at {sender.name}", "item": "i7"}
        version = ask(sender, key, "/v1/events", **body)["results"][0]["version"]
        for node in cluster.machines.nodes:
            slate = ask(node, key, "/v1/recommendations", user=f"at {sender.name}", minVersion=version)
            assert (slate["stateVersion"] >= version, slate["fallback"], slate["degraded"]) == (True, "none", [])


def test_keys_of_the_head_hold_on_every_node_and_change_there(cluster: Cluster, key: str) -> None:
    reader = cluster.head.run(new_key("reader", "read")).split()[-1]
    for node in cluster.machines.nodes:
        assert status(node, "") == 401
        wait_until(lambda node=node: status(node, reader) == 200, 30)
    cluster.head.run(f"cd ~/liveshelf && python -m cluster.keys revoke id={reader.split('_')[1]}")
    for node in cluster.machines.nodes:
        wait_until(lambda node=node: status(node, reader) == 401, 30)
        assert status(node, key) == 200


def test_health_finds_nothing_wrong(cluster: Cluster, key: str) -> None:
    screen = cluster.head.run(HEALTH)
    assert "WRONG" not in screen
    assert all(f"{node.address}:{PORT}" in screen for node in cluster.machines.nodes)
    assert "3 of 3" in screen


def test_a_worker_cut_off_for_a_moment_takes_no_acknowledged_event_along(cluster: Cluster, key: str) -> None:
    victim, head, ledger = cluster.workers[1], cluster.head, Ledger(ITEMS)
    with (
        load(PORT, ledger, 2, name=2, host=head.address, key=key),
        load(PORT, ledger, 2, name=3, host=victim.address, key=key),
        Readers([head.address], PORT, USERS, key) as reads,
    ):
        assert ledger.wait_for_more(50, timeout_s=PATIENCE_S) < PATIENCE_S
        cluster.machines.cut(victim)
        cut = time.monotonic()
        while time.monotonic() < cut + CUT_S:
            ledger.wait_for_more(1, timeout_s=CUT_S)
        cluster.machines.mend(victim)
        mended = wait_until(lambda: status(victim, key) == 200, PATIENCE_S)
        assert ledger.wait_for_more(50, timeout_s=PATIENCE_S) < PATIENCE_S
    lost, renumbered = audit(PORT, ledger, head.address, key)
    tell(
        f"a worker cut off for {CUT_S:.0f} s: {lost} of {len(ledger.acks)} acknowledged events lost; "
        f"{reads.share_good:.3%} of {reads.good + len(reads.failed)} reads through the head were 200; "
        f"it answers again {mended:.1f} s after it is back"
    )
    assert (lost, renumbered) == (0, 0)


def test_a_killed_worker_takes_no_acknowledged_event_along(cluster: Cluster, key: str) -> None:
    victim, (head, other) = cluster.workers[1], cluster.machines.nodes[:2]
    before, ledger = set(gateways(head) + gateways(other)), Ledger(ITEMS)
    with (
        load(PORT, ledger, 2, name=0, host=head.address, key=key),
        load(PORT, ledger, 2, name=1, host=other.address, key=key),
        Readers(2 * [head.address, other.address], PORT, USERS, key) as reads,
    ):
        assert ledger.wait_for_more(50, timeout_s=PATIENCE_S) < PATIENCE_S
        killed = time.monotonic()
        victim.kill()
        replaced = wait_until(lambda: len(set(gateways(head) + gateways(other)) - before) == 1, PATIENCE_S)
        wait_until(lambda: ready(cluster) == 3, PATIENCE_S)
        serving = time.monotonic() - killed
        assert ledger.wait_for_more(50, timeout_s=PATIENCE_S) < PATIENCE_S
        wait_until(lambda: reads.good >= ENOUGH_READS, PATIENCE_S)
    lost, renumbered = audit(PORT, ledger, head.address, key)
    tell(
        f"a worker killed: {lost} of {len(ledger.acks)} acknowledged events lost, {ledger.refusals} calls sent again; "
        f"{reads.share_good:.3%} of {reads.good + len(reads.failed)} reads were 200, {reads.flagged} flagged; "
        f"a gateway in the place of its own after {replaced:.1f} s, serving after {serving:.1f} s"
    )
    assert (lost, renumbered) == (0, 0)
    assert reads.share_good >= 0.999, reads.failed


def test_health_misses_the_node_that_died(cluster: Cluster, key: str) -> None:
    screen = cluster.head.run(f"{HEALTH} || echo exit code $?")
    wrong = [line for line in screen.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert "2 of 3" in wrong[0]
    assert cluster.workers[1].address not in screen
    assert "exit code 1" in screen


def test_ray_down_leaves_nothing(cluster: Cluster, key: str) -> None:
    began = time.monotonic()
    cluster.exec(f"{AT_HOME} python serve/run.py stop")
    assert cluster.head.run("cat ~/liveshelf/var/store/manifest.json").count('"last_seq":') == 1
    cluster.ray("down", "-y", str(cluster.yaml))
    for node in cluster.machines.nodes:
        wait_until(lambda node=node: not node.processes(), PATIENCE_S)
    tell(f"stop and ray down: nothing runs after {time.monotonic() - began:.0f} s")


def ready(cluster: Cluster) -> int:
    """Return how many gateways Serve sends requests to."""
    code = (
        "from cluster.runtime import *; connect(RuntimeConfig(address='head')); import ray.serve; "
        "print(ray.serve.status().applications['liveshelf'].deployments['Gateway'].replica_states.get('RUNNING', 0))"
    )
    return int(cluster.head.run(f'{AT_HOME} .venv/bin/python -c "{code}"').split()[-1])
