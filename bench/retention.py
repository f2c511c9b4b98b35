"""What letting old events go costs those who send new ones, and what it frees.

    python -m bench.retention [events=1000000] [items=50000]

A log of `events` events, in batches of 64, all of which the next bundle learned from; the store goes over to that
bundle and removes them while another caller sends eight events at a time. Writes bench/results/retention.json.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import Field
from tqdm import tqdm

from bench.durability import write_bundle
from bench.report import keep, show
from bench.store import DIM, MIB, StoreBench, World, named
from cluster.config import Config
from serve.state.config import StoreConfig
from serve.state.sqlite_log import FILE
from serve.state.store import Store

FOREVER = StoreConfig(snapshot_events=2**60)


class RetentionBench(Config):
    """How much is removed."""

    events: int = Field(default=1_000_000, ge=1_000, description="events of the log")
    items: int = Field(default=50_000, ge=100, description="items of both bundles")


async def fill(world: World, data: Path, n_events: int) -> None:
    """Write the log that grows old."""
    store, given = Store.open(world.folder, data, bootstrap=True, config=FOREVER), world.batches(64)
    for _ in tqdm(range(n_events // 64), unit=" batches", disable=None):
        await store.append(*next(given), store.position)
    await store.close()


async def acks(store: Store, world: World, work: asyncio.Future[Any]) -> list[float]:
    """Return how long each of a caller's acks took until something is done, in ms."""
    given, times = world.batches(8), []
    while not work.done():
        events, vectors = next(given)
        began = time.perf_counter()
        await store.append(events, vectors, store.position)
        times.append(1e3 * (time.perf_counter() - began))
    return times


async def let_go(world: World, bundle: Path, data: Path) -> dict[str, Any]:
    """Remove all of the log that may go, and measure those who wait."""
    store = Store.open(bundle, data, config=FOREVER.model_copy(update={"keep_days": 0}))
    before = await acks(store, world, asyncio.ensure_future(asyncio.sleep(2)))
    size, hashed = (data / FILE).stat().st_size, None
    await store.changes(store.position, 0)
    running = store._retention.running
    if running is None:
        sys.exit("nothing was due")
    began = time.perf_counter()
    meanwhile = await acks(store, world, running)
    seconds = time.perf_counter() - began
    removed = store._machine.log.removals.last_seq
    hashed = await store.state_hash()
    await store.close()
    store = Store.open(bundle, data, config=FOREVER)
    same = await store.state_hash() == hashed
    await store.close()
    return {
        "removed": removed, "seconds": round(seconds, 1), "file_MiB": round(size / MIB),
        "file_after_MiB": round((data / FILE).stat().st_size / MIB), "same_state": same,
        **named("ack_before", before), **named("ack_meanwhile", meanwhile), "longest_ms": round(max(meanwhile), 1),
    }  # fmt: skip


def main(words: list[str]) -> int:
    bench = RetentionBench.parse(words)
    with tempfile.TemporaryDirectory() as place:
        data, after = Path(place) / "data", Path(place) / "after"
        world = World(Path(place) / "bundle", bench.items, StoreBench(items=bench.items))
        asyncio.run(fill(world, data, bench.events))
        write_bundle(after, bench.items, DIM, version="b2", cutoff_ms=bench.events)
        rows = [asyncio.run(let_go(world, after, data))]
    show("retention", rows)
    keep("retention", {"retention": rows, "bench": bench.model_dump()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
