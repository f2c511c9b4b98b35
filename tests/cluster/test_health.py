"""Health: one line a fact, wrong where something is."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.health import (
    GATEWAY,
    LEAST_FREE,
    Finding,
    Served,
    actor_findings,
    answer_findings,
    disk_findings,
    findings,
    gateway_findings,
    key_findings,
    main,
    node_findings,
)
from cluster.keys import Keyring
from cluster.runtime import STORE, WATCHDOG, ActorSeen, NodeSeen, of_tenant


@pytest.fixture
def served(tmp_path: Path) -> Served:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry/current").write_text("two")
    return Served(
        registry=str(tmp_path / "registry"), bundle="current", data=str(tmp_path / "store"), replicas=2,
        keys=str(tmp_path / "keys.json"), host="127.0.0.1", port=8000,
    )  # fmt: skip


def wrong(found: Iterator[Finding]) -> list[str]:
    """Return what is wrong."""
    return [finding.said for finding in found if not finding.well]


def node(address: str, alive: bool = True) -> NodeSeen:
    return NodeSeen(address=address, alive=alive, is_head=address.endswith(".1"))


def actor(name: str, state: str = "ALIVE", address: str = "10.0.0.1") -> ActorSeen:
    return ActorSeen(name=name, state=state, address=address, restarts=0)


def test_too_few_nodes_are_wrong_and_one_that_was_replaced_is_not() -> None:
    assert wrong(node_findings([node("10.0.0.1"), node("10.0.0.2")], wanted=2)) == []
    [said] = wrong(node_findings([node("10.0.0.1"), node("", alive=False)], wanted=2))
    assert said == "1 of 2: 10.0.0.1; 1 died since the head began"
    assert wrong(node_findings([node("10.0.0.1"), node("", alive=False), node("10.0.0.2")], wanted=2)) == []


def test_a_store_without_its_watchdog_is_wrong() -> None:
    assert wrong(actor_findings([actor(STORE), actor(WATCHDOG)])) == []
    assert wrong(actor_findings([actor(STORE)])) == ["not there; run `python serve/run.py start` again"]
    [said] = wrong(actor_findings([actor(STORE, state="RESTARTING"), actor(WATCHDOG)]))
    assert said.startswith("restarting")


def test_a_tenant_without_its_store_is_wrong() -> None:
    there = [actor(of_tenant(name, tenant)) for name in (STORE, WATCHDOG) for tenant in ("", "acme")]
    assert wrong(actor_findings(there, ["acme"])) == []
    assert [found.what for found in actor_findings(there, ["acme", "globex"]) if not found.well] == [
        "store globex", "watchdog globex",
    ]  # fmt: skip


def test_gateways_are_told_by_node_and_missing_ones_are_wrong() -> None:
    two = [actor(f"{GATEWAY}a"), actor(f"{GATEWAY}b", address="10.0.0.2")]
    [finding] = gateway_findings(two, wanted=2)
    assert finding.well
    assert finding.said == "2 of 2: 1 on 10.0.0.1, 1 on 10.0.0.2"
    assert wrong(gateway_findings([two[0], actor(f"{GATEWAY}b", state="RESTARTING")], wanted=2))


def answering(**versions: str) -> Callable[[str, int], str]:
    def ask(address: str, port: int) -> str:
        if address not in versions:
            raise ConnectionRefusedError("refused")
        return versions[address]

    return ask


@pytest.mark.parametrize(
    ("versions", "said"),
    [({"a": "two", "b": "two"}, []), ({"a": "two"}, ["refused"]), ({"a": "two", "b": "one"}, ["one, two served"]),
     ({"a": "one", "b": "one"}, ["one served, two wanted"])],
)  # fmt: skip
def test_every_node_must_answer_with_the_wanted_bundle(
    served: Served, versions: dict[str, str], said: list[str]
) -> None:
    found = wrong(answer_findings(["a", "b"], served, answering(**versions)))
    assert len(found) == len(said)
    assert all(part in whole for part, whole in zip(said, found, strict=True))


def test_a_log_that_is_gone_is_wrong(tmp_path: Path) -> None:
    assert "is missing" in wrong(disk_findings(tmp_path / "store", postgres=False))[0]
    (tmp_path / "store").mkdir()
    assert "the log itself is missing" in wrong(disk_findings(tmp_path / "store", postgres=False))[0]
    assert not any("log" in said for said in wrong(disk_findings(tmp_path / "store", postgres=True)))


def test_a_disk_that_fills_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events.sqlite").touch()
    usage = shutil._ntuple_diskusage  # pyright: ignore[reportAttributeAccessIssue]
    for share, expected in ((LEAST_FREE / 2, 1), (2 * LEAST_FREE, 0)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=int(share * 1e12): usage(10**12, 0, free))
        assert len(wrong(disk_findings(tmp_path, postgres=False))) == expected


def test_no_keys_are_wrong_where_the_network_reaches_the_server(served: Served) -> None:
    public = served.model_copy(update={"host": "0.0.0.0"})
    assert wrong(key_findings(served)) == []
    assert "may do everything" in wrong(key_findings(public))[0]
    ring = Keyring(Path(served.keys))
    ring.create("shop", ["read"])
    assert wrong(key_findings(public)) == []
    ring.path.unlink()
    assert "lost" in wrong(key_findings(public))[0]


def test_keys_that_cannot_be_read_are_said(served: Served) -> None:
    Path(served.keys).write_text("{")
    assert "cannot be read" in wrong(key_findings(served))[0] or "no keys" in wrong(key_findings(served))[0]


def test_where_nothing_was_started_the_screen_says_how_and_the_exit_code_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    assert main([]) == 1
    assert "serve/run.py start" in capsys.readouterr().out


def test_without_a_cluster_the_rest_is_told(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    (tmp_path / "serving.json").write_text(served.model_dump_json())
    said = {finding.what: finding for finding in findings(tmp_path / "serving.json", wanted=1)}
    assert not said["cluster"].well
    assert said["keys"].well
    assert "log" in said
    assert os.environ.get("RAY_ADDRESS") is None
