"""Shilling: how far do fake shoppers push an item, and does erasing them leave anything behind?

    python -m bench.shilling data=<folder or loader> [fakes=0.01 clicks=10 targets=12 key=value … for fit]

A bundle is fitted on the older half of the rows and learns the newer half. Then, for each target alone, fake shoppers
(a share of the honest ones) click it in turn with popular items, as an attack that wants to be shown beside them would.
Printed is how many ranks the target rises in the whole ranking of honest shoppers, and in the list of popular items.
Erasing the fakes must bring back the honest state to the bit. All of it twice: as a server is by default, and where a
history counts in full after a day only. Writes bench/results/shilling_<data>.json.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from bench.commands import split_words
from bench.online.engine import LiveEngine
from bench.online.stream import log_of
from bench.prequential import bundle_of, fit_run
from bench.report import keep, show
from cluster.config import Config
from serve.state.events import Event
from serve.state.image import digest, item_arrays
from serve.state.live import LearnerConfig
from serve.state.request import Request
from serve.state.snapshot import write_snapshot
from train.data.source import prepare_data
from train.models.shopper import NO_HISTORY, History
from train.progress import OwnBar

SPAN_MS = 3_600_000  # within which the attack happens
AGES_H = (0.0, 24.0)  # of a history that counts in full


class ShillingConfig(Config):
    """How strong the attack is, and on what."""

    data: str = Field(description="as for `fit`")
    fakes: float = Field(default=0.01, gt=0, le=1, description="fake shoppers for each honest one")
    clicks: int = Field(default=10, ge=1, description="of each fake shopper on the target, as many on popular items")
    targets: int = Field(default=12, ge=3, description="items pushed, a third each of head, torso and tail")
    honest: int = Field(default=200, ge=1, description="shoppers whose rankings are compared")
    bundle: str = Field(default="", description="registry that keeps the fitted bundle; none when empty")
    seed: int = Field(default=0, ge=0, description="of who is asked, what is pushed and what is clicked")
    learner: LearnerConfig = LearnerConfig.parse([])


class Attack:
    """Fake shoppers against an engine that has learned from honest ones."""

    def __init__(self, engine: LiveEngine, config: ShillingConfig) -> None:
        self.engine, self.config = engine, config
        self._rng = np.random.default_rng(config.seed)
        shoppers = engine.machine.shoppers.live
        names = sorted(shoppers)
        self.n_fakes = max(1, round(config.fakes * len(names)))
        asked = self._rng.choice(len(names), min(config.honest, len(names)), replace=False)
        self.histories = [shoppers[names[at]].history for at in asked]
        self.vectors = engine.vectors(self.histories)
        self.popular = np.argsort(-engine.items.recent, kind="stable")[:20]
        write_snapshot(engine.machine.log.folder, engine.machine.snapshot().sealed())  # where unlearning begins
        self.now_ms = int(max(history.timestamp_ms[-1] for history in self.histories))

    def targets(self) -> Iterator[tuple[str, int]]:
        """Yield items of the head (a tenth), the torso and the tail (half) by popularity."""
        order = np.argsort(-self.engine.items.popularity, kind="stable")
        known = order[self.engine.items.popularity[order] > 0]
        parts = np.split(known, [len(known) // 10, len(known) // 2])
        for name, part in zip(("head", "torso", "tail"), parts, strict=True):
            for item_idx in self._rng.choice(part, self.config.targets // 3, replace=False).tolist():
                yield name, item_idx

    def push(self, target: int) -> list[str]:
        """Let every fake shopper click the target in turn with popular items; return their ids."""
        user_ids = [f"fake-{target}-{number}" for number in range(self.n_fakes)]
        clicked = self._rng.choice(self.popular, (self.n_fakes, self.config.clicks))
        for number, user_id in enumerate(user_ids):
            items = np.column_stack((clicked[number], np.full(self.config.clicks, target))).ravel().tolist()
            history, histories, events = NO_HISTORY, [], []
            for count, item_idx in enumerate(items):
                time_ms = self.now_ms + (number * len(items) + count) * SPAN_MS // (self.n_fakes * len(items))
                histories.append(history)
                events.append(Event(
                    event_id=f"{user_id}-{count}", user_id=user_id, item_idx=item_idx, event_type="click", weight=1.0,
                    timestamp_ms=time_ms,
                ))  # fmt: skip
                history = history.appended(item_idx, time_ms, same_order=False)
            self.engine.machine.commit([Request(events, self.engine.vectors(histories))])
        return user_ids

    def ranks(self, target: int) -> np.ndarray:
        """Return the target's place (n,) in each honest shopper's whole ranking: the slate, then what is like h_u."""
        return np.array([
            self._rank(target, history, vector) for history, vector in zip(self.histories, self.vectors, strict=True)
        ])  # fmt: skip

    def popular_rank(self, target: int) -> int:
        """Return the target's place among all items by recent popularity."""
        return int((self.engine.items.recent > self.engine.items.recent[target]).sum())

    def forget(self, user_ids: list[str]) -> None:
        """Erase the fake shoppers, and make the state anew."""
        for user_id in user_ids:
            self.engine.machine.erase(user_id, self.now_ms)
        while not self.engine.machine.catch_up(1 << 20):
            pass

    def _rank(self, target: int, history: History, vector: np.ndarray) -> int:
        slate = self.engine.slate(history, self.engine.items)
        if (place := np.flatnonzero(slate.item_idx == target)).size:
            return int((slate.score > slate.score[place[0]]).sum())
        likeness = self.engine.items.vectors @ vector
        ahead = likeness > likeness[target]
        ahead[slate.item_idx] = True
        return int(ahead.sum())


def pushed(attack: Attack) -> Iterator[dict[str, Any]]:
    """Yield what the attack does to each target."""
    honest = digest(item_arrays(attack.engine.machine.state))
    for part, target in OwnBar(list(attack.targets()), desc="targets", unit="target"):
        before, popular = attack.ranks(target), attack.popular_rank(target)
        user_ids = attack.push(target)
        after, popular_after = attack.ranks(target), attack.popular_rank(target)
        attack.forget(user_ids)
        yield {
            "part": part, "popularity": int(attack.engine.items.popularity[target]),
            "rank_before": float(before.mean()), "rank_after": float(after.mean()),
            "risen": float((before - after).mean()), "shown_before": float((before < 20).mean()),
            "shown_after": float((after < 20).mean()), "popular_before": popular, "popular_after": popular_after,
            "exactly_undone": digest(item_arrays(attack.engine.machine.state)) == honest,
        }  # fmt: skip


def main(words: list[str]) -> int:
    mine, passed = split_words(words, ShillingConfig)
    config = ShillingConfig.parse(mine)
    with tempfile.TemporaryDirectory() as place:
        fit = fit_run(config.data, config.bundle, Path(place), passed)
        log = log_of(prepare_data(fit), 0.5, 0.25)
        bundle, found = bundle_of(log, fit), []
        for hours in AGES_H:
            learner = config.learner.model_copy(update={"trusted_hours": hours})
            found.append(attacked(LiveEngine(bundle, log, Path(place) / f"log-{hours:g}", learner), config, len(log)))
            print(
                f"trusted_hours={hours:g}: risen {found[-1]['risen']:.1f} ranks of {found[-1]['items']:,} on average; "
                f"undone to the bit: {all(row['exactly_undone'] for row in found[-1]['rows'])}"
            )
    keep(f"shilling_{Path(config.data).stem}", {
        "found": found, "bench": config.model_dump(exclude={"data", "bundle"}), "passed": passed,
    })  # fmt: skip
    return 0


def attacked(engine: LiveEngine, config: ShillingConfig, n_events: int) -> dict[str, Any]:
    """Return what attacks do to an engine that has learned from the first events of its log."""
    engine.learn_until(n_events)
    attack = Attack(engine, config)
    rows = list(pushed(attack))
    engine.close()
    shown = [
        {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]
    hours = engine.machine.state.config.trusted_hours
    show(f"{attack.n_fakes} fake shoppers, {config.clicks} clicks each, trusted_hours={hours:g}", shown)
    return {
        "trusted_hours": hours, "risen": float(np.mean([row["risen"] for row in rows])), "fakes": attack.n_fakes,
        "items": engine.items.n_items, "rows": rows,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
