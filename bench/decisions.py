"""Decisions: what it costs to keep each slate with all that it was made of, and whether events wait for it.

    python -m bench.decisions [requests=600 items=10000 users=2000]
    python -m bench.decisions bundle=<registry>                          # of a shop of yours

Requests go one by one through an engine and a store in this process. Then events are acknowledged, in turns with
decisions being written meanwhile and without. Writes bench/results/decisions.json.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from bench.judging import event
from bench.report import keep, show
from bench.shop import publish_shop
from cluster.config import Config
from serve.api.outgoing import read_ask
from serve.api.slate_schemas import RecommendationsBody
from serve.engine import Engine
from serve.stages.arranging.policy import HOME
from serve.stages.fused import fused
from serve.stages.index.config import IndexConfig
from serve.stages.index.policy import open_index
from serve.state.decision_log import Record, new_id
from serve.state.decision_tables import FILE
from serve.state.follower import Follower
from serve.state.store import Store
from serve.state.view import View
from serve.trust.recorder import GATHER_S, Recorder
from train.bundle import Bundle, read_bundle
from train.registry import Registry

TURNS = 10  # of each kind
PER_S = 1_000  # decisions written beside events


class DecisionsConfig(Config):
    """What is served and how much is asked."""

    bundle: str = Field(default="", description="registry of the bundle; a generated shop when empty")
    requests: int = Field(default=600, ge=2 * TURNS, description="slates asked for")
    events: int = Field(default=600, ge=2 * TURNS, description="events sent, one by one")
    items: int = Field(default=10_000, ge=100, description="items of the generated shop")
    users: int = Field(default=2_000, ge=10, description="shoppers of the generated shop")
    count: int = Field(default=20, ge=1, le=100, description="items of a slate")


def engine_of(bundle: Bundle, view: View, store: Store) -> Engine:
    """Return an engine as a fused gateway has it."""
    stages = fused(bundle, view, open_index(view, bundle, IndexConfig()))
    return Engine(bundle, Follower(view, store), store, stages)


class Timed(Recorder):
    """A recorder that notes how long a request waits for it, in µs of the processor."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, share=1.0)
        self.waited: list[float] = []

    def note(self, *arguments: Any, **named: Any) -> None:
        started = time.thread_time()
        super().note(*arguments, **named)
        self.waited.append(1e6 * (time.thread_time() - started))


async def slates(engine: Engine, recorder: Timed, user_ids: list[str], count: int) -> dict[str, float]:
    """Return what a decision costs a core: while its request waits, and later, when it is sent."""
    engine.recorder, later, started = recorder, [], time.process_time()
    for user_id in user_ids:
        body = RecommendationsBody.model_validate({"user": user_id, "count": count})
        ask = read_ask(body, engine.view.catalogue, HOME)
        await engine.recommend(ask)
        made, began = recorder._waiting[ask.recommendation_id], time.thread_time()
        made.record()
        later.append(1e6 * (time.thread_time() - began))
        await recorder.empty()
    spent = time.process_time() - started
    return {"request_ms": round(1e3 * spent / len(user_ids), 2), "noting_us": round(np.median(recorder.waited)),
            "packing_us": round(np.median(later))}  # fmt: skip


async def acks(store: Store, user_ids: list[str], dim: int, made: Record) -> dict[str, float]:
    """Return how many milliseconds an event waits for its ack, with no decisions and with PER_S of them a second."""
    waited: list[list[float]] = [[], []]

    async def written() -> None:
        while True:
            some = [made._replace(recommendation_id=new_id(made.at_ms)) for _ in range(round(PER_S * GATHER_S))]
            await store.decisions.put(some)
            await asyncio.sleep(GATHER_S)

    for turn in range(2 * TURNS):
        writing = asyncio.create_task(written()) if turn % 2 else None
        for number, user_id in enumerate(user_ids[turn :: 2 * TURNS]):
            one, started = event(1_000_000 * turn + number, user_id, number % 100, made.at_ms), time.perf_counter()
            await store.append([one], np.zeros((1, dim), np.float32), store.position)
            waited[turn % 2].append(1e3 * (time.perf_counter() - started))
        if writing is not None:
            writing.cancel()
    return {
        f"ack_{name}_ms_p{share}": round(float(np.percentile(some, share)), 2)
        for name, some in zip(("alone", "beside_decisions"), waited, strict=True) for share in (50, 99)
    }  # fmt: skip


async def measure(folder: Path, data: Path, config: DecisionsConfig) -> dict[str, Any]:
    """Return all figures."""
    bundle, store = read_bundle(folder), Store.open(folder, data, bootstrap=True)
    view = View(bundle, await store.image())
    rng = np.random.default_rng(0)
    user_ids = [str(one) for one in rng.choice(bundle.histories.user_ids, max(config.requests, config.events))]
    cost = await slates(engine_of(bundle, view, store), Timed(store), user_ids[: config.requests], config.count)
    records = await store.decisions.of(set(user_ids))
    sizes = [len(record.content) for record in records]
    store.decisions._log._scrub()  # the file without what lies in its write-ahead log says too little
    on_disk = (data / FILE).stat().st_size
    waits = await acks(store, user_ids[: config.events], view.items.vectors.shape[1], records[-1])
    await store.close()
    size = {"decisions": len(sizes), "bytes": round(np.mean(sizes)), "most_bytes": max(sizes)}
    return {"items": len(bundle.items), **cost, **size, "disk_bytes": round(on_disk / len(sizes)), **waits}


def main(words: list[str]) -> int:
    torch.set_num_threads(1)
    config = DecisionsConfig.parse(words)
    with tempfile.TemporaryDirectory(prefix="lsb-") as place:
        registry = Path(config.bundle or Path(place) / "registry")
        if not config.bundle:
            publish_shop(registry, config.items, config.users)
        folder = Registry(registry).find("current")
        facts = asyncio.run(measure(folder, Path(place) / "log", config))
    show("What a decision costs", [{"figure": name, "value": value} for name, value in facts.items()])
    keep("decisions", {"config": config.model_dump(exclude={"bundle"}), **facts})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
