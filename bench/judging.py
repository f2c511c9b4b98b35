"""Judging: what it costs to ask how well an answer foresaw an event, and what the figures come to.

    python -m bench.judging [events=2000]
    python -m bench.judging data=<folder or loader> [bundle=<folder> events=40000 share=0.05 key=value … for fit]

Events go one by one through the engine and a store in this process, in turns with a judge and without. They are clicks
in a generated shop, or what happened after the oldest `fit_share` of data, which a bundle is fitted on. `bundle=` keeps
that bundle for the next run. Writes bench/results/judging_<data>.json.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from bench.commands import split_words
from bench.online.stream import Log, log_of
from bench.prequential import bundle_of, fit_run
from bench.report import keep, show
from bench.shop import publish_shop
from cluster.config import Config
from serve.engine import Engine
from serve.stages.fused import fused
from serve.stages.index.config import IndexConfig
from serve.stages.index.policy import open_index
from serve.state.events import Event
from serve.state.figures import Figures
from serve.state.follower import Follower
from serve.state.store import Store
from serve.state.view import View
from train.bundle import Bundle, read_bundle
from train.data.source import prepare_data
from train.registry import Registry

TURNS = 10  # of each kind


class JudgingConfig(Config):
    """What is served, and which events come."""

    data: str = Field(default="", description="as for `fit`; a generated shop when empty")
    bundle: str = Field(default="", description="registry that keeps the bundle; none when empty")
    fit_share: float = Field(default=0.7, gt=0, lt=1, description="oldest rows of `data`, fitted on")
    events: int = Field(default=2_000, ge=2 * TURNS, description="events that are sent")
    share: float = Field(default=1.0, gt=0, le=1, description="of the events in turns with a judge")
    items: int = Field(default=10_000, ge=100, description="items of the generated shop")
    users: int = Field(default=2_000, ge=10, description="shoppers of the generated shop")
    seed: int = Field(default=0, ge=0, description="of who clicks on what")


def engine_of(bundle: Bundle, view: View, store: Store, share: float) -> Engine:
    """Return an engine as a fused gateway has it."""
    stages = fused(bundle, view, open_index(view, bundle, IndexConfig()))
    return Engine(bundle, Follower(view, store), store, stages, share)


def clicks(bundle: Bundle, config: JudgingConfig) -> Iterator[Event]:
    """Yield clicks of known shoppers, on some items far oftener than on most."""
    rng = np.random.default_rng(config.seed)
    user_ids = rng.choice(bundle.histories.user_ids, config.events)
    items = rng.choice(bundle.state.n_items, config.events, p=bundle.state.popularity / bundle.state.n_events)
    for number, (user_id, item_idx) in enumerate(zip(user_ids, items.tolist(), strict=True)):
        yield event(number, str(user_id), item_idx, bundle.manifest.data_cutoff_ms + 1_000 * number)


def happened(log: Log, n_events: int) -> Iterator[Event]:
    """Yield what happened after the bundle was fitted, at most `n_events`, in order."""
    for place in range(log.begin, min(log.begin + n_events, len(log))):
        row, rows = int(log.row_at[place]), log.rows
        user_id = str(rows.user_ids[rows.user_idx[row]])
        time_ms, order_key = int(rows.timestamp_ms[row]), str(rows.order_idx[row])
        yield event(place, user_id, int(rows.item_idx[row]), time_ms, order_key)


def event(number: int, user_id: str, item_idx: int, time_ms: int, order_key: str = "") -> Event:
    """Return an event that likes an item."""
    return Event(
        event_id=f"e{number}", user_id=user_id, item_idx=item_idx, event_type="click", weight=1.0, timestamp_ms=time_ms,
        order_key=order_key,
    )  # fmt: skip


async def measure(folder: Path, data: Path, events: list[Event], share: float) -> dict[str, Any]:
    """Return CPU milliseconds of an event that is judged and of one that is not, and the figures."""
    bundle, store = read_bundle(folder), Store.open(folder, data, bootstrap=True)
    view = View(bundle, await store.image())
    engines = [engine_of(bundle, view, store, judged) for judged in (0.0, share)]
    cpu_s, sent = [0.0, 0.0], [0, 0]
    for turn in range(2 * TURNS):
        part, started = (
            events[turn * len(events) // (2 * TURNS) : (turn + 1) * len(events) // (2 * TURNS)],
            time.process_time(),
        )
        for one in part:
            await engines[turn % 2].ingest([one])
        cpu_s[turn % 2] += time.process_time() - started
        sent[turn % 2] += len(part)
    await store.close()
    plain_ms = 1e3 * cpu_s[0] / sent[0]
    judging_ms = (1e3 * cpu_s[1] - plain_ms * sent[1]) / max(view.figures.judged, 1)
    cost = {"event_ms": round(plain_ms, 2), "judging_ms": round(judging_ms, 2)}
    return {"items": len(bundle.items), **cost, **told(view.figures)}


def told(figures: Figures) -> dict[str, Any]:
    """Return the figures as a row."""
    scores = {slate: figures.score(slate) for slate in ("live", "still", "frozen")}
    leads = {f"live - {shadow}": figures.lead(shadow) for shadow in ("still", "frozen")}
    return {
        "judged": figures.judged, "effective": round(figures.effective), "guarded": figures.guarded,
        **{slate: score and round(score.ndcg, 4) for slate, score in scores.items()},
        **{name: lead and [round(lead.mean, 4), lead.error and round(lead.error, 4)] for name, lead in leads.items()},
    }  # fmt: skip


def main(words: list[str]) -> int:
    torch.set_num_threads(1)
    mine, passed = split_words(words, JudgingConfig)
    config = JudgingConfig.parse(mine)
    with tempfile.TemporaryDirectory(prefix="lsb-") as place:
        fit = fit_run(config.data, config.bundle, Path(place), passed)
        if config.data:
            log = log_of(prepare_data(fit), config.fit_share, (1 - config.fit_share) / 2)
            bundle_of(log, fit)
            events = list(happened(log, config.events))
        else:
            events = list(clicks(read_bundle(publish_shop(Path(fit.registry), config.items, config.users)), config))
        folder = Registry(fit.registry).find("current")
        facts = asyncio.run(measure(folder, Path(place) / "log", events, config.share))
    title = "CPU milliseconds of an event and of judging one; NDCG@10; leads with their standard errors"
    show(title, [{"figure": name, "value": value} for name, value in facts.items()])
    settings = config.model_dump(exclude={"data", "bundle"})
    keep(f"judging_{Path(config.data or 'generated').stem}", {"config": settings, "passed": passed, **facts})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
