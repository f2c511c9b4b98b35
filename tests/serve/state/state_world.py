"""A small bundle for the store, and events for it; all of it follows from a seed."""

import asyncio
import json
import sqlite3
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from safetensors.numpy import load, save

from cluster.storage import sha256
from serve.state.config import StoreConfig
from serve.state.events import UNJUDGED, UNRANKED, AppendResult, Event, Position, Ranks
from serve.state.live import LearnerConfig
from serve.state.sqlite_log import FILE
from serve.state.store import Store
from train.bundle_state import MANIFEST, BundleState, Manifest, write_bundle_state
from train.data.schema import Interactions
from train.models.item_state import ItemStateConfig, fit_item_state

T = TypeVar("T")

N_ITEMS = 12
DIM = 6
N_USERS = 4
ROWS_PER_USER = 3
CUTOFF_MS = 1_700_000_000_000
KINDS = {1.0: "click", 5.0: "purchase", 0.0: "impression", -1.0: "return"}  # by what they are worth
FAST = StoreConfig(learner=LearnerConfig(negatives=4, learning_rate=0.05))


def small_bundle(
    version: str = "b1", item_ids: list[str] | None = None, dim: int = DIM, cutoff_ms: int = CUTOFF_MS
) -> BundleState:
    """Return the store's half of a bundle."""
    rng = np.random.default_rng(0)
    item_ids = item_ids or [f"i{index}" for index in range(N_ITEMS)]
    histories = small_histories(rng, len(item_ids))
    vectors = rng.normal(scale=0.5, size=(len(item_ids), dim)).astype(np.float32)
    manifest = Manifest(
        name="small", version=version, created=datetime(2024, 1, 1, tzinfo=UTC), keep_seen=True,
        data_cutoff_ms=cutoff_ms, code_version="0", config={}, metrics={},
    )  # fmt: skip
    state = fit_item_state(vectors, histories, True, ItemStateConfig())
    return BundleState(manifest=manifest, items=pd.DataFrame({"item_id": item_ids}), state=state, histories=histories)


def write_small_bundle(
    folder: Path, version: str = "b1", item_ids: list[str] | None = None, cutoff_ms: int = CUTOFF_MS
) -> Path:
    """Write `small_bundle` and return its folder."""
    bundle = small_bundle(version, item_ids, cutoff_ms=cutoff_ms)
    folder.mkdir(parents=True)
    write_bundle_state(bundle.items, bundle.state, bundle.histories, folder)
    (folder / "calibration.json").write_text(json.dumps({"item_state": bundle.state.config.model_dump()}))
    files = {path.name: sha256(path) for path in folder.iterdir()}
    (folder / MANIFEST).write_text(bundle.manifest.model_copy(update={"files": files}).model_dump_json())
    return folder


def small_histories(rng: np.random.Generator, n_items: int) -> Interactions:
    """Return N_USERS shoppers u0, u1, … with ROWS_PER_USER rows each, the last at the cut-off, half of them bought."""
    n = N_USERS * ROWS_PER_USER
    ago = np.tile(np.arange(ROWS_PER_USER)[::-1], N_USERS)
    return Interactions(
        user_ids=np.array([f"u{index}" for index in range(N_USERS)], dtype=object),
        offsets=np.arange(0, n + 1, ROWS_PER_USER), item_idx=rng.integers(n_items, size=n),
        timestamp_ms=CUTOFF_MS - ago * 86_400_000, order_idx=np.arange(n), weight=np.ones(n, np.float32),
        kept=np.arange(n) % 2 == 0,
    )  # fmt: skip


def event(event_id: str, user_id: str = "u0", item_idx: int = 0, **changes: Any) -> Event:
    """Return a click, with changes."""
    values = {"event_type": "click", "weight": 1.0, "timestamp_ms": CUTOFF_MS + 1_000}
    return Event(event_id=event_id, user_id=user_id, item_idx=item_idx, **(values | changes))


def random_events(n: int, seed: int = 0, prefix: str = "e") -> list[Event]:
    """Return events of known users and strangers, with and without items, orders and opinions, of all signs."""
    rng = np.random.default_rng(seed)
    return [
        event(
            f"{prefix}{index}", f"u{rng.integers(2 * N_USERS)}", int(rng.integers(-1, N_ITEMS)),
            weight=(weight := float(rng.choice([1, 1, 5, 0, -1]))), event_type=KINDS[weight],
            timestamp_ms=CUTOFF_MS + int(rng.integers(5)) * 1_000,
            order_key=str(rng.choice(["", "", "o1", "o2"])), judged=ranks(index),
            opinion=None if index % 3 else (index % 9 - 4) / 4,
        )
        for index in range(n)
    ]  # fmt: skip


def ranks(index: int) -> Ranks:
    """Return what a judge may have said of an event; of every other one nothing."""
    if index % 2:
        return UNJUDGED
    return Ranks(*(UNRANKED if place == 0 else place for place in (index % 7, index % 11, index % 13)))


def vectors_for(events: list[Event], seed: int = 0) -> np.ndarray:
    """Return an h_u per event."""
    return np.random.default_rng(seed).normal(size=(len(events), DIM)).astype(np.float32)


async def send(store: Store, events: list[Event], since: Position | None = None, seed: int = 0) -> AppendResult:
    """Append events with vectors."""
    return await store.append(events, vectors_for(events, seed), since or store.position)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine; what hangs fails after a minute."""
    return asyncio.run(asyncio.wait_for(work, 60))


def opened(bundle: Path, data: Path, config: StoreConfig = FAST) -> Store:
    """Return the store of a folder, which begins a log where there is none."""
    return Store.open(bundle, data, bootstrap=not data.exists(), config=config)


async def closed_hash(store: Store) -> tuple[int, str]:
    """Return version and hash of a store's state, and close it."""
    hashed = await store.state_hash()
    await store.close()
    return hashed


async def come_back(bundle: Path, data: Path) -> list[tuple[int, str]]:
    """Return version and hash of what a closed store's folder comes to, from its snapshots and from zero."""
    from_snapshots = await closed_hash(opened(bundle, data))
    for snapshot in data.glob("snapshot-*"):
        snapshot.unlink()
    return [from_snapshots, await closed_hash(opened(bundle, data))]


def forget_arrays(data: Path, name: str) -> int:
    """Make a log what it was before its batches had an array of this name; return how many it has."""
    log = sqlite3.connect(data / FILE)
    batches = log.execute("SELECT version, content FROM batches").fetchall()
    for version, content in batches:
        arrays = load(content)
        del arrays[name]
        log.execute("UPDATE batches SET content = ? WHERE version = ?", (save(arrays), version))
    log.commit()
    log.close()
    return len(batches)
