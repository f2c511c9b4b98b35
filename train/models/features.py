"""What the ranker knows of each candidate; the same lines for a batch and for a live request."""

import numpy as np

from train.models.item_state import DAY_MS, ItemState
from train.models.shopper import History
from train.models.transitions import Followers

SEQUENCE = ("sequence_log_share", "sequence_gap")
TRANSITION = ("transition", "transition_log")
ITEM = ("popularity_log", "recent_log", "repeat_rate")
REPEAT = (
    "is_repeat", "count_log", "count_fast", "count_slow", "count_days", "orders_since", "days_since",
    "interval_ratio", "has_interval", "interval_days", "order_share",
)  # fmt: skip
CONTEXT = ("orders_log", "history_log")
FEATURES = SEQUENCE + TRANSITION + ITEM + REPEAT + CONTEXT


def features(
    item_idx: np.ndarray, shopper_vector: np.ndarray, followers: Followers, history: History, state: ItemState
) -> np.ndarray:
    """Return (n, len(FEATURES)) float32 for the candidates `item_idx` (n,) of one shopper.

    Time is measured from the shopper's own last event, never from the clock on the wall, so that the same state
    gives the same features at any hour and a replayed decision comes out bit for bit.
    """
    columns = np.zeros((len(FEATURES), len(item_idx)), dtype=np.float64)
    end = 0
    for part in (
        _sequence(item_idx, shopper_vector, state),
        _transition(item_idx, followers),
        _item(item_idx, state),
        _repeat(item_idx, history),
        _context(len(item_idx), history),
    ):
        start, end = end, end + len(part)
        columns[start:end] = part
    return columns.T.astype(np.float32)


def _sequence(item_idx: np.ndarray, shopper_vector: np.ndarray, state: ItemState) -> np.ndarray:
    logit = (state.vectors[item_idx] @ shopper_vector).astype(np.float64)
    top = logit.max(initial=-np.inf)
    return np.stack((logit - top - np.log(np.exp(logit - top).sum() + 1e-12), logit - top))


def _transition(item_idx: np.ndarray, followers: Followers) -> np.ndarray:
    score = np.zeros(len(item_idx))
    if len(followers.item_idx):
        place = np.minimum(np.searchsorted(followers.item_idx, item_idx), len(followers.item_idx) - 1)
        found = followers.item_idx[place] == item_idx
        score[found] = followers.score[place[found]] / followers.score.sum()
    return np.stack((score, np.log(score + 1e-4)))


def _item(item_idx: np.ndarray, state: ItemState) -> np.ndarray:
    return np.stack((
        np.log((state.popularity[item_idx] + 1) / (state.n_events + 1)),
        np.log(state.recent[item_idx] / (state.recent_total + 1e-300) + 1e-7),
        state.repeat_rate[item_idx],
    ))  # fmt: skip


def _repeat(item_idx: np.ndarray, history: History) -> np.ndarray:
    columns = np.zeros((len(REPEAT), len(item_idx)))
    if not len(history):
        return columns
    own, position = np.unique(history.item_idx, return_inverse=True)
    place = np.minimum(np.searchsorted(own, item_idx), len(own) - 1)
    found = own[place] == item_idx
    columns[:, found] = _repeat_statistics(position, len(own), history)[:, place[found]]
    return columns


def _repeat_statistics(position: np.ndarray, n_own: int, history: History) -> np.ndarray:
    """Return (len(REPEAT), n_own): how often, how lately and how regularly the shopper took each of their items."""
    orders_ago = history.order_idx[-1] - history.order_idx
    days_ago = (history.timestamp_ms[-1] - history.timestamp_ms) / DAY_MS
    count = np.bincount(position, minlength=n_own)
    last_order, last_day, first_day = np.full(n_own, np.inf), np.full(n_own, np.inf), np.zeros(n_own)
    np.minimum.at(last_order, position, orders_ago)
    np.minimum.at(last_day, position, days_ago)
    np.maximum.at(first_day, position, days_ago)
    again = count > 1
    interval = np.where(again, (first_day - last_day) / np.maximum(count - 1, 1), 0.0)
    return np.stack((
        np.ones(n_own),
        np.log(count),
        np.log1p(3 * np.bincount(position, 0.9**orders_ago, minlength=n_own)),
        np.log1p(3 * np.bincount(position, 0.98**orders_ago, minlength=n_own)),
        np.log1p(3 * np.bincount(position, np.exp(-days_ago / 30), minlength=n_own)),
        np.log1p(last_order),
        np.log1p(last_day),
        np.where(again, np.log((last_day + 0.5) / (interval + 0.5)), 0.0),
        again,
        np.log1p(interval),
        count / (orders_ago[0] + 1),
    ))  # fmt: skip


def _context(n: int, history: History) -> np.ndarray:
    n_orders = int(history.order_idx[-1] - history.order_idx[0]) + 1 if len(history) else 0
    return np.repeat([[np.log1p(n_orders)], [np.log1p(len(history))]], n, axis=1)
