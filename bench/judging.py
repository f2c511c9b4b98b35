"""Judging: what it costs to ask, before an event is learned from, how well live and frozen answers foresaw it.

    python -m bench.judging [events=2000] [registry=var/registry]

Clicks go one by one through the engine and a store in this process, half of the rounds without a judge and half with
one who judges every event. Writes bench/results/judging.json.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from bench.report import keep, show
from bench.shop import publish_shop
from cluster.config import Config
from serve.engine import Engine
from serve.stages.index.config import IndexConfig
from serve.stages.index.policy import open_index
from serve.stages.ranking import Ranking
from serve.stages.retrieval import Retriever
from serve.state.events import Event
from serve.state.follower import Follower
from serve.state.store import Store, now_ms
from serve.state.view import View
from train.bundle import Bundle, read_bundle
from train.models.shopper import History
from train.registry import Registry

ROUNDS = 4


class JudgingConfig(Config):
    """What is served and how often it is clicked."""

    events: int = Field(default=2_000, ge=ROUNDS, description="clicks")
    registry: str = Field(default="", description="whose current bundle is served; a generated one when empty")
    items: int = Field(default=10_000, ge=100, description="items of the generated shop")
    users: int = Field(default=2_000, ge=10, description="shoppers of the generated shop")
    seed: int = Field(default=0, ge=0, description="of who clicks on what")


def engine_of(bundle: Bundle, view: View, store: Store, judged_share: float) -> Engine:
    """Return an engine as a fused gateway has it."""

    async def encode(history: History) -> np.ndarray:
        return bundle.model.encode_shoppers([history])[0]

    retriever = Retriever(view, open_index(view, bundle, IndexConfig()), bundle.sources)
    ranking = Ranking(view, bundle.ranker)
    return Engine(bundle, Follower(view, store), store, encode, retriever.retrieve, ranking.rank, judged_share)


def clicks(bundle: Bundle, config: JudgingConfig) -> list[Event]:
    """Return clicks of known shoppers on items, some far oftener than most."""
    rng = np.random.default_rng(config.seed)
    user_ids = rng.choice(bundle.histories.user_ids[np.diff(bundle.histories.offsets) > 0], config.events)
    share = bundle.state.popularity / bundle.state.popularity.sum()
    items = rng.choice(len(share), config.events, p=share).tolist()
    return [
        Event(
            event_id=f"e{number}", user_id=str(user_id), item_idx=item_idx, event_type="click", weight=1.0,
            timestamp_ms=now_ms(),
        )
        for number, (user_id, item_idx) in enumerate(zip(user_ids, items, strict=True))
    ]  # fmt: skip


async def measure(folder: Path, data: Path, config: JudgingConfig) -> dict[str, float]:
    """Return CPU milliseconds of an event that is judged and of one that is not."""
    bundle, store = read_bundle(folder), Store.open(folder, data, bootstrap=True)
    view = View(bundle, await store.image())
    engines = {share: engine_of(bundle, view, store, share) for share in (0.0, 1.0)}
    cpu_s, counted = dict.fromkeys(engines, 0.0), dict.fromkeys(engines, 0)
    for number, part in enumerate(np.array_split(np.array(clicks(bundle, config), dtype=object), 2 * ROUNDS)):
        share = float(number % 2)
        started, before = time.process_time(), view.figures.judged
        for event in part.tolist():
            await engines[share].ingest([event])
        cpu_s[share] += time.process_time() - started
        counted[share] += view.figures.judged - before if share else len(part)
    await store.close()
    cost = {share: round(1e3 * cpu_s[share] / max(counted[share], 1), 2) for share in engines}
    return {"items": len(bundle.items), "judged": counted[1.0], "judged_ms": cost[1.0], "not_judged_ms": cost[0.0]}


def main(words: list[str]) -> int:
    torch.set_num_threads(1)
    config = JudgingConfig.parse(words)
    with tempfile.TemporaryDirectory(prefix="lsb-") as place:
        registry = Path(config.registry or place)
        if not config.registry:
            publish_shop(registry, config.items, config.users, config.seed)
        facts = asyncio.run(measure(Registry(registry).find("current"), Path(place) / "log", config))
    show("CPU milliseconds of a click", [facts])
    keep("judging", {"config": config.model_dump(), **facts})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
