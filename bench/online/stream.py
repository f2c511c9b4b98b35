"""A log cut by time: what the bundle is fitted on, what only moves the live state, and what is asked about."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.errors import DataError
from train.data.load import load
from train.data.prepare import PrepareConfig, prepare
from train.data.prepared import Prepared
from train.data.schema import Interactions, Tables
from train.models.shopper import History, history_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What comes next? Asked before any row from `place` on was learned."""

    place: int  # in the log
    user_idx: int
    truth: np.ndarray  # distinct item_idx


@dataclass(frozen=True, kw_only=True)
class Log:
    """All rows in the order in which they happened; a row's place is its position in that order."""

    fitted: Prepared  # what lies before `begin`, with everybody's user_idx
    rows: Interactions
    row_at: np.ndarray  # (n,) place → row of `rows`
    begin: int  # place of the first row that the bundle was not fitted on
    start: int  # place of the first row that may be asked about

    def __len__(self) -> int:
        return len(self.row_at)

    def history(self, place: int) -> History:
        """Return what the shopper of a row did before it."""
        row = int(self.row_at[place])
        user_idx = int(self.rows.user_idx[row])
        return history_of(self.rows, user_idx, row - int(self.rows.offsets[user_idx]))

    def events(self, begin: int, end: int, most: int, seed: int = 0) -> list[Question]:
        """Return a question before each row between two places, or before `most` of them, in their order."""
        chosen = _sampled(np.arange(begin, end), most, seed)
        rows = self.row_at[chosen]
        return [
            Question(place=place, user_idx=user, truth=np.array([item]))
            for place, user, item in zip(
                chosen.tolist(), self.rows.user_idx[rows].tolist(), self.rows.item_idx[rows].tolist(), strict=True
            )
        ]

    def orders(self, begin: int, end: int, most: int, seed: int = 0) -> list[Question]:
        """Return a question before each order that begins between two places, or before `most` of them."""
        order = self.rows.order_idx[self.row_at]
        _, first = np.unique(order, return_index=True)
        sizes = np.bincount(order)
        first.sort()
        chosen = _sampled(first[(first >= begin) & (first < end)], most, seed)
        found = []
        for place in chosen.tolist():
            row = int(self.row_at[place])  # an order's rows lie side by side in its user's history
            items = self.rows.item_idx[row : row + sizes[order[place]]]
            found.append(Question(place=place, user_idx=int(self.rows.user_idx[row]), truth=np.unique(items)))
        return found


def log_of(prepared: Prepared, fit_share: float, stream_share: float) -> Log:
    """Return prepared data cut into shares of its rows; what happened at one moment stays together."""
    ordered = np.sort(_clocked(prepared).timestamp_ms, kind="stable")
    until, since = (int(ordered[int(len(ordered) * share)]) for share in (fit_share, 1 - stream_share))
    return _cut(prepared, until, since)


def log_of_two(history: str, stream: str, between_share: float, rejects: str) -> Log:
    """Return one log of two sources; the last `between_share` of the history's rows only move the live state.

    Both catalogues are known from the start, as a shop lists its items before it sells them.
    """
    past, present = load(history), load(stream)
    prepared = prepare(_joined(past, present), PrepareConfig.parse([]), datetime.now(UTC), Path(rejects))
    since = int(pd.to_datetime(present.events["timestamp"], utc=True).min().timestamp() * 1e3)
    before = np.sort(_clocked(prepared).timestamp_ms[prepared.interactions.timestamp_ms < since])
    if not len(before):
        raise DataError(f"no event of {history} happened before the first one of {stream}; give older ones as history")
    return _cut(prepared, int(before[int(len(before) * (1 - between_share))]), since)


def _joined(past: Tables, present: Tables) -> Tables:
    if not past.has_clock or not present.has_clock:
        raise DataError("both history and stream need times; these only count their events")
    return replace(
        past, events=pd.concat([past.events, present.events], ignore_index=True),
        items=pd.concat([past.items, present.items], ignore_index=True),
        users=pd.concat([past.users, present.users], ignore_index=True),
    )  # fmt: skip


def _cut(prepared: Prepared, until_ms: int, since_ms: int) -> Log:
    rows = prepared.interactions
    row_at = np.argsort(rows.timestamp_ms, kind="stable")
    begin, start = np.searchsorted(rows.timestamp_ms[row_at], [until_ms, since_ms]).tolist()
    if not 0 < begin <= start < len(rows):
        raise DataError(f"{begin} rows to fit and {len(rows) - start} to ask about; give more of both")
    fitted = replace(prepared, interactions=rows.where(rows.timestamp_ms < until_ms))
    return Log(fitted=fitted, rows=rows, row_at=row_at, begin=begin, start=start)


def _clocked(prepared: Prepared) -> Interactions:
    if not prepared.has_clock:
        raise DataError(f"{prepared.name} only counts events, so that it cannot be cut by time; give events with times")
    return prepared.interactions


def _sampled(places: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(places) <= most:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
