"""`ray up cluster.yaml` as committed: three machines, gateways on all, all kinds of loss, and nothing left at the end.

Each test goes on from where the one before it left the cluster.
"""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

import bench.chaos.redis
from bench.chaos.redis import redis
from bench.shop import publish_shop
from cluster.environment import ROOT
from tests.cluster.launched import AT_HOME, PORT, SETTINGS, Cluster, launched, wait_until
from tests.cluster.nodes import Node, missing, network
from tests.cluster.outside import (
    ENOUGH_READS,
    GATEWAY,
    ITEMS,
    PATIENCE_S,
    STORE,
    USERS,
    ask,
    gateways_answering,
    running,
    status,
    tell,
    told_to_balancers,
    under_load,
)

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(missing()), reason=missing() or "has all it needs")]

HEALTH = f"{AT_HOME} python -m cluster.health nodes=3"
DRAIN = f"{AT_HOME} python -m cluster.drain"
CUT_S, LONG_CUT_S = 2.0, 20.0  # less than a node may be silent before it counts as dead, and more
ALONE = {"id": "sent to who is alone", "type": "click", "user": "u1", "item": "i1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    began = time.monotonic()
    with ExitStack() as stack:
        machines = stack.enter_context(network(3, ROOT / ".venv"))
        url = "" if bench.chaos.redis.missing() else stack.enter_context(redis(machines.gateway))
        cluster = stack.enter_context(launched(machines, url))
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


def new_key(name: str, scopes: str) -> str:
    return f"cd ~/liveshelf && python -m cluster.keys create name={name} scopes={scopes}"


def sent_inside(node: Node, key: str) -> str:
    """Return the status of the event ALONE, sent by a client for whom the node's network is all there is."""
    client = f"Client({PORT}, {node.address!r}, key={key!r})"
    return node.inside(f"from bench.client import Client; print({client}.post('/v1/events', {ALONE}).status)").strip()


def spread(cluster: Cluster, title: str = GATEWAY) -> list[int]:
    """Return how many processes of a kind run on each node."""
    return [len(running(node, title)) for node in cluster.machines.nodes]


def epoch(cluster: Cluster) -> str:
    """Return which opening of the log the store's is: the next one would be a second writer's."""
    return cluster.head.run("grep epoch ~/liveshelf/var/store/manifest.json")


def test_every_node_has_a_gateway_and_answers(cluster: Cluster, key: str) -> None:
    assert spread(cluster) == [1, 1, 1]
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


@pytest.mark.skipif(bool(bench.chaos.redis.missing()), reason=bench.chaos.redis.missing())
def test_nobody_notices_that_the_gcs_dies_and_is_started_again(cluster: Cluster, key: str) -> None:
    [killed] = running(cluster.head, "gcs_server")
    with under_load(cluster, key, cluster.machines.nodes, cluster.machines.nodes) as seen:
        os.kill(killed, signal.SIGKILL)
        mended = wait_until(lambda: "WRONG" not in cluster.head.run(f"{HEALTH} || true"), PATIENCE_S)
    tell(f"the GCS killed, Redis: {seen}; health finds nothing wrong after {mended:.1f} s")
    assert (seen.lost, seen.renumbered, seen.reads.failed) == (0, 0, [])
    assert spread(cluster) == [1, 1, 1]
    assert running(cluster.head, "gcs_server") != [killed]


def test_a_worker_cut_off_for_a_moment_takes_no_acknowledged_event_along(cluster: Cluster, key: str) -> None:
    victim, head = cluster.workers[1], cluster.head
    with under_load(cluster, key, [head, victim], [head]) as seen:
        cluster.machines.cut(victim)
        time.sleep(CUT_S)
        cluster.machines.mend(victim)
        mended = wait_until(lambda: status(victim, key) == 200, PATIENCE_S)
    tell(f"a worker cut off for {CUT_S:.0f} s: {seen}; it answers again {mended:.1f} s after it is back")
    assert (seen.lost, seen.renumbered) == (0, 0)
    assert spread(cluster) == [1, 1, 1]


def test_a_worker_cut_off_until_it_counts_as_dead_opens_no_store_and_comes_back_as_a_new_node(
    cluster: Cluster, key: str
) -> None:
    victim, head, other, before = cluster.workers[1], cluster.head, cluster.workers[0], epoch(cluster)
    known = gateways_answering(head, key, 3)
    with under_load(cluster, key, [head, other], 2 * [head, other]) as seen:
        cluster.machines.cut(victim)
        cut = time.monotonic()
        gateways_answering(head, key, 1, besides=known)
        replaced = time.monotonic() - cut
        alone = sent_inside(victim, key)
        assert spread(cluster, STORE) == [1, 0, 0]
        time.sleep(max(0.0, cut + LONG_CUT_S - time.monotonic()))
        cluster.machines.mend(victim)
        ended = wait_until(lambda: not running(victim, "ray::"), PATIENCE_S)
        back = wait_until(lambda: cluster.n_nodes() == 3, PATIENCE_S)
        wait_until(lambda: seen.reads.good >= ENOUGH_READS, PATIENCE_S)
    tell(
        f"a worker cut off for {LONG_CUT_S:.0f} s: {seen}; another gateway in the place of its own answers after "
        f"{replaced:.1f} s; back, all that it had ended after {ended:.1f} s, and it was a node again {back:.1f} s later"
    )
    assert alone == "503"
    # A call that was on its way when the link came back may still arrive; sent again, the event counts once.
    again = [ask(head, key, "/v1/events", **ALONE)["results"][0]["status"] for _ in range(2)]
    assert again in (["applied", "duplicate"], ["duplicate", "duplicate"])
    assert (seen.lost, seen.renumbered) == (0, 0)
    assert (spread(cluster, STORE), epoch(cluster)) == ([1, 0, 0], before)
    assert seen.reads.share_good >= 0.999, seen.reads.failed


def test_a_worker_is_drained_without_a_failed_request_and_comes_back_when_it_may(cluster: Cluster, key: str) -> None:
    victim, head = cluster.workers[0], cluster.head
    assert running(victim, GATEWAY)
    with under_load(cluster, key, [head], 3 * [head]) as seen, ThreadPoolExecutor() as background:
        began = time.monotonic()
        draining = background.submit(victim.run, DRAIN, PATIENCE_S)
        with under_load(cluster, key, [victim], [victim]) as through_it:
            wait_until(lambda: told_to_balancers(victim) == 503, PATIENCE_S)
        said = draining.result()
        drained = time.monotonic() - began
    tell(f"a worker drained in {drained:.1f} s: {seen}; through its own port until it said that it goes: {through_it}")
    assert "nothing runs here any more" in said
    assert not running(victim, "ray")
    for one in (seen, through_it):
        assert (one.lost, one.renumbered, one.reads.failed) == (0, 0, [])
    assert cluster.n_nodes() == 2
    victim.run("rm ~/.liveshelf/drained")
    tell(f"allowed back, it is a node again after {wait_until(lambda: cluster.n_nodes() == 3, PATIENCE_S):.0f} s")


def test_the_head_is_not_drained(cluster: Cluster, key: str) -> None:
    said = cluster.head.run(f"{DRAIN} 2>&1 || true")
    assert "this is the head, with store and log" in said
    assert status(cluster.head, key) == 200


def test_a_killed_worker_takes_no_acknowledged_event_along(cluster: Cluster, key: str) -> None:
    victim = cluster.workers[1]
    known, n_gone = gateways_answering(cluster.head, key, 3), len(running(victim, GATEWAY))
    assert n_gone > 0
    with under_load(cluster, key, [cluster.head], 4 * [cluster.head]) as seen:
        killed = time.monotonic()
        victim.kill()
        gateways_answering(cluster.head, key, n_gone, besides=known)
        serving = time.monotonic() - killed
        wait_until(lambda: seen.reads.good >= ENOUGH_READS, PATIENCE_S)
    tell(f"a worker killed: {seen}; {n_gone} gateways in the place of its own answered after {serving:.1f} s")
    assert (seen.lost, seen.renumbered) == (0, 0)
    assert seen.reads.share_good >= 0.999, seen.reads.failed
    assert sum(spread(cluster)) == 3


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
    with suppress(TimeoutError):  # else what is left is told below
        wait_until(lambda: not any(node.processes() for node in cluster.machines.nodes), PATIENCE_S)
    assert [node.processes() for node in cluster.machines.nodes] == [{}, {}, {}]
    tell(f"stop and ray down: nothing runs after {time.monotonic() - began:.0f} s")
