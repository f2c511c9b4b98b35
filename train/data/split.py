"""What training may read and what it is tested on."""

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from cluster.config import Config
from cluster.errors import ConfigError, DataError
from train.data.leakage import check_leakage
from train.data.orders import no_queries, order_queries, order_starts
from train.data.report import NOTHING
from train.data.schema import Interactions, Queries, Split, Wanted


class SplitConfig(Config):
    """How held-out orders are chosen."""

    split: Literal["leave_one_out", "global_time"] | None = Field(
        None, description="each user's last item, or everyone's orders after one moment; by the source when absent"
    )
    valid_fraction: float = Field(0.1, gt=0, lt=0.5, description="share of the time span just before the test window")
    test_fraction: float = Field(0.1, gt=0, lt=0.5, description="share of the time span at its end")
    target_weight: float = Field(
        0, ge=0, description="events worth less are context: neither asked for nor aimed at; 2 makes views just that"
    )
    max_queries: int | None = Field(None, ge=1, description="sampled queries per part; all when not given")
    seed: int = Field(0, ge=0, description="of the sample of queries")

    @model_validator(mode="after")
    def _leaves_something(self) -> "SplitConfig":
        if self.valid_fraction + self.test_fraction > 0.9:
            raise ValueError("valid_fraction + test_fraction must leave a tenth of the time span to train on")
        return self


def make_split(interactions: Interactions, config: SplitConfig, has_clock: bool) -> Split:
    """Return the split that `config` describes, checked for leakage.

    leave_one_out: each user's last item is held out for validation where another came before it, whatever order it
    belongs to, and nothing after it is trained on. global_time: one query per order in the windows at the end of the
    time span, each asked with everything that its user did before. When absent: global_time where the source has a
    clock.
    """
    if config.split == "leave_one_out" or (config.split is None and not has_clock):
        return _leave_one_out(interactions, config)
    if not has_clock:
        raise ConfigError("split=global_time needs times, but this source only counts events; use split=leave_one_out")
    return _global_time(interactions, config)


def _leave_one_out(interactions: Interactions, config: SplitConfig) -> Split:
    last = _last_targets(interactions, config.target_weight)
    interactions = _apart(interactions, last)
    held_out = last[last > interactions.offsets[interactions.user_idx[last]]]
    _refuse_no_query(held_out, "no user has two events")
    cut = interactions.offsets[1:].copy()
    cut[interactions.user_idx[held_out]] = held_out
    train = interactions.where(np.arange(len(interactions)) < cut[interactions.user_idx])
    alone = int((np.diff(interactions.offsets) > 0).sum()) - len(held_out)
    what = f"nothing worth {config.target_weight:g} after another event" if config.target_weight else "a single event"
    why = f"one query for each user; {alone} users have {what} and are only trained on"
    split = Split(
        history=interactions, train=train, counted=train, valid=_ask(interactions, held_out, config), test=no_queries(),
        wanted=Wanted(targets="next_item", min_weight=config.target_weight),
        report=NOTHING.add("leave one out", len(interactions), len(train), why),
    )  # fmt: skip
    check_leakage(split)
    return split


def _last_targets(interactions: Interactions, target_weight: float) -> np.ndarray:
    """Return each user's last row that is worth enough, (≤ n_users,)."""
    worthy = np.flatnonzero(interactions.weight >= target_weight)
    return worthy[np.diff(interactions.user_idx[worthy], append=-1) != 0]


def _apart(interactions: Interactions, chosen: np.ndarray) -> Interactions:
    """Return the same rows with each chosen one an order of its own, as the literature holds last items out."""
    begins = np.zeros(len(interactions) + 1, dtype=bool)
    begins[order_starts(interactions)] = True
    begins[chosen] = begins[chosen + 1] = True
    return replace(interactions, order_idx=np.cumsum(begins[:-1]) - 1)  # without gaps, for whatever counts orders


def _global_time(interactions: Interactions, config: SplitConfig) -> Split:
    first, last = int(interactions.timestamp_ms.min()), int(interactions.timestamp_ms.max())
    if first == last:
        raise DataError("all events happened at one moment, which global_time cannot part; use split=leave_one_out")
    test_from = last - round((last - first) * config.test_fraction)
    valid_from = test_from - round((last - first) * config.valid_fraction)
    return split_at(interactions, config, valid_from, test_from)


def split_at(interactions: Interactions, config: SplitConfig, valid_from: int, test_from: int | None = None) -> Split:
    """Return a split in time, in ms: trained on before the first moment, tested from the second one on, if any."""
    starts = order_starts(interactions)
    time = interactions.timestamp_ms[starts]
    is_first = np.diff(interactions.user_idx[starts], prepend=-1) != 0
    asked = ~is_first & _worthy(interactions, starts, config.target_weight)
    is_late = np.zeros(len(starts), dtype=bool) if test_from is None else time >= test_from
    valid, test = starts[(time >= valid_from) & ~is_late & asked], starts[is_late & asked]
    _refuse_no_query(valid, "no known user came back in the validation window")
    train = interactions.where(interactions.timestamp_ms < valid_from)
    strangers = int(((time >= valid_from) & is_first).sum())
    why = f"{len(valid)} valid and {len(test)} test orders; {strangers} first orders of users are not asked for"
    split = Split(
        history=interactions, train=train,
        counted=interactions.where(interactions.timestamp_ms < test_from) if test_from and len(test) else train,
        valid=_ask(interactions, valid, config), test=_ask(interactions, test, config),
        wanted=Wanted(min_weight=config.target_weight),
        report=NOTHING.add("global time", len(interactions), len(train), why),
    )  # fmt: skip
    check_leakage(split, valid_from)
    return split


def _worthy(interactions: Interactions, starts: np.ndarray, target_weight: float) -> np.ndarray:
    """Return which orders hold a row that is worth enough."""
    return np.maximum.reduceat(interactions.weight, starts) >= target_weight


def _ask(interactions: Interactions, starts: np.ndarray, config: SplitConfig) -> Queries:
    """Return queries by time, at most `max_queries` of them, drawn with the seed."""
    if config.max_queries is not None and len(starts) > config.max_queries:
        starts = np.random.default_rng(config.seed).choice(starts, config.max_queries, replace=False)
    by_time = np.lexsort((starts, interactions.timestamp_ms[starts]))
    return order_queries(interactions, starts[by_time]) if len(starts) else no_queries()


def _refuse_no_query(starts: np.ndarray, why: str) -> None:
    if not len(starts):
        raise DataError(f"nothing to validate on: {why}; give a longer history")
