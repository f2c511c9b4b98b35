"""`serve/run.py refresh`: a log becomes the next bundle, or does not where that one would do worse."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from bench.client import Client
from cluster.environment import ROOT, scratch
from cluster.haproxy import free_port
from cluster.keys import Keyring
from serve import refresh as room
from serve.run import main
from tests.serve.shop import SMALL, open_shop
from tests.world import tiny_world, write_world
from train.bundle_state import read_bundle_state, read_manifest
from train.config import FitRun
from train.data.source import prepare_data
from train.evaluation.bootstrap import Comparison, Interval
from train.evaluation.verdict import Verdict
from train.pipeline import fit_bundle
from train.registry import Registry

DAYS = 5  # of nine, that the first bundle knows


@dataclass(frozen=True)
class Open:
    """A shop whose log tells of the days after its bundle was made."""

    folder: Path
    first: str  # version

    @property
    def words(self) -> list[str]:
        return [f"registry={self.folder / 'registry'}", f"data={self.folder / 'data'}"]

    @property
    def settings(self) -> list[str]:
        return [*self.words, f"shop={self.folder / 'shop'}", "min_queries=20", f"fit.rejects={self.folder}"]

    @property
    def registry(self) -> Registry:
        return Registry(self.folder / "registry")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop, its registry and its log."""
    folder, world = tmp_path_factory.mktemp("refresh"), tiny_world(n_users=80, n_items=48, orders_per_user=9)
    day = (world.events["timestamp"] - pd.Timestamp("2024-01-01", tz="UTC")).dt.days
    world.items["catalogue"] = ["ads", *["products"] * (len(world.items) - 1)]
    write_world(world, folder / "shop")
    world.events[day < DAYS].to_parquet(folder / "shop" / "events.parquet")
    config = FitRun.parse([
        f"data={folder / 'shop'}", *SMALL, f"registry={folder / 'registry'}", f"checkpoints={folder / 'checkpoints'}",
        f"rejects={folder}",
    ])  # fmt: skip
    fit_bundle(config, prepare_data(config))
    later = world.events[day >= DAYS].sort_values("timestamp")
    names = {"event_type": "type", "user_id": "user", "item_id": "item", "timestamp": "time", "order_id": "orderId"}
    bodies = json.loads(later.rename(columns=names).to_json(orient="records", date_format="iso"))
    with open_shop(folder / "registry", folder / "data", follow=False) as shop:
        for start in range(0, len(bodies), 100):
            assert shop.post("/v1/events", events=bodies[start : start + 100])["rejected"] == 0
        assert shop.client.put("/v1/catalogues/ads/items/ad", json={"title": "Ad"}).status_code == 200
        assert shop.client.get("/v1/catalogues/ads/items/i0000").json()["title"] == "Thing 0 of ring 0"
    return folder


@pytest.fixture
def shop(lived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    home = Path(f"/tmp/liveshelf-test-{os.getpid()}")  # short, for the sockets below it
    monkeypatch.setenv("LIVESHELF_HOME", str(home))
    folder = shutil.copytree(lived, tmp_path / "open")
    yield Open(folder, Registry(folder / "registry").current())
    main(["stop"])
    shutil.rmtree(scratch(), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def verdict(mean: float) -> Verdict:
    found = Comparison(Interval(mean, mean - 0.01, mean + 0.01), p=0.01)
    return Verdict(k=10, n_queries=99, served=0.2, new=0.2 + mean, found=found, max_loss=0.05)


def test_the_next_bundle_is_made_of_the_log_and_promoted(shop: Open, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refresh", *shop.settings]) == 0
    printed = capsys.readouterr().out
    assert "new − served: " in printed
    assert "good enough" in printed
    manifest = read_manifest(shop.registry.find("current"))
    assert manifest.parent == shop.first
    assert manifest.version in printed
    newest = pd.read_parquet(shop.folder / "shop" / "live.parquet")["timestamp"].max()
    assert manifest.data_cutoff_ms == manifest.learned_until_ms == newest.value // 1_000_000
    items = read_bundle_state(shop.registry.find("current")).items.set_index("item_id")
    assert items["catalogue"].dropna().to_dict() == {"ad": "ads", "i0000": "ads"}  # as the log says, and the file
    assert main(["refresh", *shop.settings]) == 1  # nothing happened since
    assert "nothing happened since" in capsys.readouterr().err


@pytest.mark.parametrize(("mean", "more"), [(-0.1, []), (0.1, ["promote=false"])])
def test_a_bundle_that_is_worse_or_not_wanted_is_not_made(
    shop: Open, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mean: float, more: list[str]
) -> None:
    monkeypatch.setattr(room, "judge", lambda *_: verdict(mean))
    assert main(["refresh", *shop.settings, *more]) == 0
    assert ("refused" in capsys.readouterr().out) == (mean < 0)
    assert shop.registry.versions() == [shop.first] == [shop.registry.current()]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Return what became of a command, in a process of its own and another folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    line = [sys.executable, str(ROOT / "serve/run.py"), *words]
    return subprocess.run(line, cwd="/", env=clean, capture_output=True, text=True, timeout=180)


@pytest.mark.ray
@pytest.mark.slow
def test_a_running_server_goes_over_to_its_refreshed_bundle_with_its_settings(shop: Open) -> None:
    port = free_port()
    started = command("start", *shop.words, f"port={port}", "replicas=1", "queue_events=5000")
    assert started.returncode == 0, started.stderr
    before = json.loads(command("status", f"port={port}").stdout)
    assert before["modelVersion"] == shop.first
    refreshed = command("refresh", *shop.settings[2:])  # the server tells the others
    assert refreshed.returncode == 0, refreshed.stderr
    assert Client(port).post("/v1/recommendations", {"user": "u0001"}).body["modelVersion"] != shop.first
    after = json.loads(command("status", f"port={port}").stdout)
    assert after["modelVersion"] == shop.registry.current() != shop.first
    assert after["stateVersion"] >= before["stateVersion"]  # an item that came since may be placed in the new space


@pytest.mark.ray
@pytest.mark.slow
def test_a_tenant_is_refreshed_alone(shop: Open) -> None:
    for own, tenants in (("registry", "acme/registry"), ("data", "acme/store")):
        shutil.copytree(shop.folder / own, shop.folder / tenants)
    ring, port = Keyring(shop.folder / "keys.json"), free_port()
    keys = {tenant: ring.create("owner", ["admin"], tenant) for tenant in ("", "acme")}
    where = [f"port={port}", "replicas=1", f"keys={ring.path}", "tenants=acme", f"tenants_folder={shop.folder}"]
    started = command("start", *shop.words, *where)
    assert started.returncode == 0, started.stderr
    refreshed = command("refresh", "tenant=acme", *shop.settings[2:])
    assert refreshed.returncode == 0, refreshed.stderr
    newer = Registry(shop.folder / "acme/registry").current()
    served = {
        tenant: Client(port, key=key).post("/v1/recommendations", {"user": "u0001"}).body["modelVersion"]
        for tenant, key in keys.items()
    }
    assert served == {"": shop.first, "acme": newer}
    assert newer != shop.first == shop.registry.current()
