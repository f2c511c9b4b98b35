"""What the store can do: the log's and the learner's speed, snapshots, recovery, erasure, memory; on one thread.

    python -m bench.store [items=50000] [events=1000000] [rows=speed,apart,recovery,snapshot,memory]

speed: events per second written to the log alone, beside a plain file flushed after each batch; applied by the learner
alone; and through the whole store. apart: two stores at once, each a process with a log of its own, beside one: the
most that parting a log in two could bring on as many cores. recovery: of a log with `events` events and a snapshot of
all but the last 10,000; then the erasure of a shopper who did a thousandth of them. snapshot: of 1M items while events
arrive. memory: of ten times `events` over as many shoppers. Writes bench/results/store.json.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from bench.durability import write_bundle
from bench.report import keep, quantiles, show
from cluster.config import Config
from serve.state.admission import fingerprint
from serve.state.completion import complete, draft
from serve.state.config import StoreConfig
from serve.state.event_log import LogEntry, encode
from serve.state.events import Event, Row
from serve.state.learner import apply
from serve.state.live import LearnerConfig, live_state
from serve.state.shoppers import AllShoppers
from serve.state.sqlite_log import SqliteLog
from serve.state.store import Store
from train.bundle_state import BundleState, read_bundle_state

DIM, SECONDS = 64, 2.0  # of each measurement of speed
APART = 64  # events of a batch of stores side by side
TAIL = 10_000  # events after the snapshot, as many as the store lets come together
GIB, MIB = 2**30, 2**20


class StoreBench(Config):
    """What is measured, and how large it is."""

    items: int = Field(default=50_000, ge=100, description="items while speed and recovery are measured")
    events: int = Field(default=1_000_000, ge=20_000, description="events of the log that is recovered")
    shoppers: int = Field(default=100_000, ge=100, description="of that log")
    rows: str = Field(default="speed,apart,recovery,snapshot,memory", description="names with commas")
    seed: int = Field(default=0, ge=0, description="of events and vectors")


class World:
    """Endless events over a bundle."""

    def __init__(self, folder: Path, n_items: int, config: StoreBench) -> None:
        if not folder.exists():
            write_bundle(folder, n_items, DIM)
        self.folder, self.n_items, self.config = folder, n_items, config
        self._rng, self._count = np.random.default_rng(config.seed), 0

    def batches(self, size: int, shoppers: int | None = None) -> Iterator[tuple[list[Event], np.ndarray]]:
        """Yield events and h_u, whose coordinates have the size of a trained encoder's."""
        while True:
            users = self._rng.integers(shoppers or self.config.shoppers, size=size).tolist()
            items = (self.n_items * self._rng.random(size) ** 3).astype(np.int64).tolist()
            events = []
            for user, item in zip(users, items, strict=True):
                self._count += 1
                events.append(Event(
                    event_id=f"evt-{self._count:012d}", user_id=f"user-{user:07d}", item_idx=item, event_type="click",
                    weight=1.0, timestamp_ms=self._count,
                ))  # fmt: skip
            yield events, self._rng.normal(scale=0.3, size=(size, DIM)).astype(np.float32)

    def bundle(self) -> BundleState:
        """Return the bundle."""
        return read_bundle_state(self.folder)


def entries_of(events: list[Event]) -> list[LogEntry]:
    """Return events as they are written."""
    return [LogEntry(one, f"i{one.item_idx}", fingerprint(one, f"i{one.item_idx}")) for one in events]


def per_second(work: Callable[[], None], size: int, clock: Callable[[], float] = time.perf_counter) -> int:
    """Return how many events a second of `clock` lets `work` do, `size` at a time: of the median call."""
    times, deadline = [], time.perf_counter() + SECONDS
    while time.perf_counter() < deadline:
        started = clock()
        work()
        times.append(clock() - started)
    return int(size / np.median(times))


def speed(world: World, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield events per second of the file, the log, the learner and the store."""
    for size in (1, 64, 512):
        yield {
            "batch": size, "file": to_file(world, folder / f"file-{size}", size),
            "log": to_log(world, folder / f"log-{size}", size), "learner_per_cpu_s": through_learner(world, size),
            "store": asyncio.run(through_store(world, folder / f"store-{size}", size)),
        }  # fmt: skip


def to_file(world: World, path: Path, size: int) -> int:
    """Return events per second appended to a file that is flushed to the disk after each batch."""
    given = world.batches(size)
    with path.open("wb", buffering=0) as file:

        def work() -> None:
            events, vectors = next(given)
            file.write(encode(draft(events, vectors, 1)))
            os.fdatasync(file.fileno())

        return per_second(work, size)


def to_log(world: World, data: Path, size: int) -> int:
    """Return events per second that the log alone takes."""
    log, given = SqliteLog.open(data, bootstrap=True), world.batches(size)

    def work() -> None:
        events, vectors = next(given)
        log.append("b1", draft(events, vectors, log.last_seq + 1), entries_of(events))

    found = per_second(work, size)
    log.close()
    return found


def through_learner(world: World, size: int) -> int:
    """Return events per processor's second that are completed and applied in memory."""
    bundle, given = world.bundle(), world.batches(size)
    shoppers = AllShoppers(bundle.histories)
    state = live_state(bundle, shoppers, LearnerConfig())

    def work() -> None:
        events, vectors = next(given)
        apply(state, complete(draft(events, vectors, state.version + 1), shoppers, 10, state.config))

    return per_second(work, size, time.thread_time)


async def through_store(world: World, data: Path, size: int, begin: Callable[[], object] = int) -> int:
    """Return the events per second that the whole store takes from one caller, once `begin` returns."""
    store, given = Store.open(world.folder, data, bootstrap=True), world.batches(size)
    begin()
    times, deadline = [], time.perf_counter() + SECONDS
    while time.perf_counter() < deadline:
        events, vectors = next(given)
        started = time.perf_counter()
        await store.append(events, vectors, store.position)
        times.append(time.perf_counter() - started)
    await store.close()
    return int(size / np.median(times))


def apart(bundle: Path, folder: Path, config: StoreBench) -> Iterator[dict[str, Any]]:
    """Yield events per second of one store in a process, and of two side by side, each with its own log and callers."""
    for n_stores in (1, 2):
        context = get_context("spawn")
        meeting, found = context.Barrier(n_stores), context.Queue()
        stores = [
            context.Process(target=one_of_some, args=(bundle, folder / f"{n_stores}-{place}", config, meeting, found))
            for place in range(n_stores)
        ]
        for store in stores:
            store.start()
        yield {"stores": n_stores, "batch": APART, "events_s": sum(found.get() for _ in stores)}
        for store in stores:
            store.join()


def one_of_some(bundle: Path, data: Path, config: StoreBench, meeting: Barrier, found: "Queue[int]") -> None:
    """Put what a store takes a second, from when all others are there, too."""
    world = World(bundle, config.items, config)
    found.put(asyncio.run(through_store(world, data, APART, meeting.wait)))


async def recovery(world: World, data: Path) -> dict[str, Any]:
    """Fill a log, open it again, and erase a shopper who was there from its beginning."""
    config, lively = world.config, "user-lively"
    never = StoreConfig(snapshot_events=2**60)
    store, given, done = Store.open(world.folder, data, bootstrap=True, config=never), world.batches(512), 0
    with tqdm(total=config.events, unit=" events", disable=None) as progress:
        while done < config.events:
            events, vectors = next(given)
            if done % (512 * 2) == 0:
                events[0] = replace(events[0], user_id=lively)
            await store.append(events, vectors, store.position)
            done += len(events)
            progress.update(len(events))
            if done - len(events) < config.events - TAIL <= done:
                await store.snapshot()
    await store.close()
    started = time.perf_counter()
    store = Store.open(world.folder, data, config=never)
    opened_s = time.perf_counter() - started
    started = time.perf_counter()
    receipt = await store.erase(lively)
    erased_s = time.perf_counter() - started
    catching_up = asyncio.create_task(store.caught_up())
    acks_ms = []
    while not catching_up.done():
        events, vectors = next(given)
        began = time.perf_counter()
        await store.append(events[:8], vectors[:8], store.position)
        acks_ms.append(1e3 * (time.perf_counter() - began))
    caught_up_s = time.perf_counter() - started
    await store.close()
    size = sum(path.stat().st_size for path in data.iterdir())
    left = sum(path.read_bytes().count(lively.encode()) for path in data.iterdir())
    return {
        "events": done, "folder_MiB": round(size / MIB), "opened_s": round(opened_s, 2),
        "erased_events": receipt.n_events, "erased_s": round(erased_s, 2), "traces_left": left,
        "made_anew_s": round(caught_up_s, 1), **named("ack_meanwhile", acks_ms),
    }  # fmt: skip


async def snapshot(world: World, data: Path) -> dict[str, Any]:
    """Write a snapshot while events arrive."""
    store, given = Store.open(world.folder, data, bootstrap=True), world.batches(8)

    async def acks(until: Callable[[], bool]) -> list[float]:
        times = []
        while not until():
            events, vectors = next(given)
            began = time.perf_counter()
            await store.append(events, vectors, store.position)
            times.append(1e3 * (time.perf_counter() - began))
        return times

    deadline = time.perf_counter() + SECONDS
    before = await acks(lambda: time.perf_counter() > deadline)
    started = time.perf_counter()
    saving = asyncio.create_task(store.snapshot())
    meanwhile = await acks(saving.done)
    written_s = time.perf_counter() - started
    size = saving.result().stat().st_size
    await store.close()
    return {
        "items": world.n_items, "MiB": round(size / MIB), "written_s": round(written_s, 2),
        **named("ack_before", before), **named("ack_meanwhile", meanwhile), "longest_ms": round(max(meanwhile), 1),
    }  # fmt: skip


def memory(world: World) -> dict[str, Any]:
    """Return what ten events of each of a million shoppers take in the store's memory."""
    n = world.config.events
    shoppers, before, rng = AllShoppers(world.bundle().histories), resident(), np.random.default_rng(0)
    for turn in tqdm(range(10), unit=" rows each", disable=None):
        for user, item in enumerate(rng.integers(world.n_items, size=n).tolist()):
            shoppers.append(f"user-{user:07d}", Row(turn * n + user, item, turn, "", False, "click", 1.0))
    return {"shoppers": n, "events": 10 * n, "GiB": round((resident() - before) / GIB, 2)}


def named(name: str, latencies_ms: list[float]) -> dict[str, float]:
    """Return p50 and p99 under a name."""
    return {f"{name}_{quantile}": value for quantile, value in quantiles(latencies_ms).items()}


def resident() -> int:
    """Return this process's resident bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(words: list[str]) -> int:
    config = StoreBench.parse(words)
    wanted = config.rows.split(",")
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place) / "bundle", config.items, config)
        if "memory" in wanted:  # first, while nothing freed lies about
            found["memory"] = [memory(world)]
        if "speed" in wanted:
            found["speed"] = list(speed(world, Path(place)))
        if "apart" in wanted:
            found["apart"] = list(apart(world.folder, Path(place) / "apart", config))
        if "recovery" in wanted:
            found["recovery"] = [asyncio.run(recovery(world, Path(place) / "recovery"))]
        if "snapshot" in wanted:
            large = World(Path(place) / "large", 1_000_000, config)
            found["snapshot"] = [asyncio.run(snapshot(large, Path(place) / "snapshot"))]
    for name, rows in found.items():
        show(name, rows)
    keep("store", found | {"bench": config.model_dump()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
