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
from train.data.schema import Interactions, Queries, Split


class SplitConfig(Config):
    """How held-out orders are chosen."""

    split: Literal["leave_one_out", "global_time"] | None = Field(
        None, description="each user's last item, or everyone's orders after one moment; by the source when absent"
    )
    valid_fraction: float = Field(0.1, gt=0, lt=0.5, description="share of the time span just before the test window")
    test_fraction: float = Field(0.1, gt=0, lt=0.5, description="share of the time span at its end")
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
    belongs to. global_time: one query per order in the windows at the end of the time span, each asked with
    everything that its user did before. When absent: global_time where the source has a clock.
    """
    if config.split == "leave_one_out" or (config.split is None and not has_clock):
        return _leave_one_out(interactions, config)
    if not has_clock:
        raise ConfigError("split=global_time needs times, but this source only counts events; use split=leave_one_out")
    return _global_time(interactions, config)


def _leave_one_out(interactions: Interactions, config: SplitConfig) -> Split:
    interactions = _last_item_apart(interactions)
    starts = order_starts(interactions)
    owner = interactions.user_idx[starts]
    is_last = np.diff(owner, append=-1) != 0
    is_first = np.diff(owner, prepend=-1) != 0
    held_out = starts[is_last & ~is_first]
    _refuse_no_query(held_out, "no user has two events")
    train = interactions.where(~np.isin(interactions.order_idx, interactions.order_idx[held_out]))
    alone = int((is_last & is_first).sum())
    why = f"one query for each user; {alone} users have a single event and are only trained on"
    split = Split(
        history=interactions, train=train, valid=_ask(interactions, held_out, config), test=no_queries(),
        report=NOTHING.add("leave one out", len(interactions), len(train), why),
    )  # fmt: skip
    check_leakage(split)
    return split


def _last_item_apart(interactions: Interactions) -> Interactions:
    """Return the same rows with each user's last one an order of its own, as the literature holds it out."""
    order_idx = 2 * interactions.order_idx
    last = interactions.offsets[1:][np.diff(interactions.offsets) > 0] - 1
    order_idx[last] += 1
    _, consecutive = np.unique(order_idx, return_inverse=True)  # what counts orders must not see gaps
    return replace(interactions, order_idx=consecutive)


def _global_time(interactions: Interactions, config: SplitConfig) -> Split:
    first, last = int(interactions.timestamp_ms.min()), int(interactions.timestamp_ms.max())
    test_from = last - round((last - first) * config.test_fraction)
    valid_from = test_from - round((last - first) * config.valid_fraction)
    starts = order_starts(interactions)
    time = interactions.timestamp_ms[starts]
    is_first = np.diff(interactions.user_idx[starts], prepend=-1) != 0
    valid = starts[(time >= valid_from) & (time < test_from) & ~is_first]
    test = starts[(time >= test_from) & ~is_first]
    _refuse_no_query(valid, "no known user came back in the validation window")
    train = interactions.where(interactions.timestamp_ms < valid_from)
    strangers = int(((time >= valid_from) & is_first).sum())
    why = f"{len(valid)} valid and {len(test)} test orders; {strangers} first orders of users are not asked for"
    split = Split(
        history=interactions, train=train,
        valid=_ask(interactions, valid, config), test=_ask(interactions, test, config),
        report=NOTHING.add("global time", len(interactions), len(train), why),
    )  # fmt: skip
    check_leakage(split, valid_from)
    return split


def _ask(interactions: Interactions, starts: np.ndarray, config: SplitConfig) -> Queries:
    """Return queries by time, at most `max_queries` of them, drawn with the seed."""
    if config.max_queries is not None and len(starts) > config.max_queries:
        starts = np.random.default_rng(config.seed).choice(starts, config.max_queries, replace=False)
    by_time = np.lexsort((starts, interactions.timestamp_ms[starts]))
    return order_queries(interactions, starts[by_time]) if len(starts) else no_queries()


def _refuse_no_query(starts: np.ndarray, why: str) -> None:
    if not len(starts):
        raise DataError(f"nothing to validate on: {why}; give a longer history")
