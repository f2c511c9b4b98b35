"""Which rows make a history: what they are worth, in which order they came, and which are left out."""

import numpy as np
import pandas as pd

from train.data.schema import Tables

# What each type of event says about liking the item; 0 and less leave the history. `rating` and `review` count their
# value, where they have one.
EVENT_WEIGHTS = {
    "impression": 0.0, "search": 0.0, "view": 1.0, "click": 1.0, "dwell": 1.0, "share": 2.0, "like": 2.0, "cart": 3.0,
    "purchase": 5.0, "rating": 1.0, "review": 1.0, "remove": -1.0, "dislike": -3.0, "return": -3.0,
}  # fmt: skip
PURCHASE, RETURN = "purchase", "return"
VALUED_TYPES = ("rating", "review")


def event_weights(events: pd.DataFrame, weights: dict[str, float], custom: float) -> np.ndarray:
    """Return what each event is worth, (n,) float32; a type without a weight is worth `custom`."""
    base = events["event_type"].map(weights).fillna(custom).to_numpy(dtype=np.float32)
    if "value" not in events:
        return base
    valued = events["event_type"].isin(VALUED_TYPES) & events["value"].notna()
    return np.where(valued, base * events["value"], base).astype(np.float32)


def kept_purchases(events: pd.DataFrame) -> np.ndarray:
    """Return which events are purchases that were not returned, (n,) bool; a return takes the newest one before it."""
    kind = events["event_type"].to_numpy()
    kept, is_return = kind == PURCHASE, kind == RETURN
    if not is_return.any():
        return kept
    pair = _groups([events["user_id"], events["item_id"]])
    rows = np.flatnonzero((kept | is_return) & np.isin(pair, pair[is_return]))
    rows = rows[np.argsort(events["timestamp"].to_numpy()[rows], kind="stable")]
    bought: dict[int, list[int]] = {}  # of each pair, what was not returned yet
    for row in rows.tolist():
        own = bought.setdefault(int(pair[row]), [])
        if not is_return[row]:
            own.append(row)
        elif own:
            kept[own.pop()] = False
    return kept


def to_rows(tables: Tables, weight: np.ndarray, kept: np.ndarray) -> pd.DataFrame:
    """Return user_id, item_id, order, timestamp_ms, weight, purchased and kept per event.

    order: equal for the lines of one order: those with one order_id, else those of one user at one time; without
    a clock each event is an order. An order happens when it is complete, at its last line's time, so that none of
    it is known before.
    """
    events = tables.events
    rows = pd.DataFrame({
        "user_id": events["user_id"], "item_id": events["item_id"],
        "timestamp_ms": _milliseconds(tables), "weight": weight, "purchased": events["event_type"] == PURCHASE,
        "kept": kept,
    })  # fmt: skip
    rows["order"] = _orders(tables, rows)
    rows["timestamp_ms"] = rows.groupby("order")["timestamp_ms"].transform("max")
    return rows


def merge_duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for an item within an order, the one worth most; bought, kept or reviewed if any of them was."""
    groups = rows.groupby(["order", "item_id"])
    most = {name: groups[name].transform("max") for name in ("purchased", "kept", "review_idx") if name in rows}
    best = rows.assign(**most).sort_values("weight", ascending=False, kind="stable")
    return best.drop_duplicates(["order", "item_id"]).sort_index()


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows by user, then time, then order, then place in the source."""
    return rows.sort_values(["user_id", "timestamp_ms", "order"], kind="stable", ignore_index=True)


def newest_per_user(rows: pd.DataFrame, max_user_events: int) -> pd.DataFrame:
    """Return at most the last `max_user_events` rows of each user; `rows` come in order."""
    age = rows.groupby("user_id").cumcount(ascending=False)
    return rows[age < max_user_events]


def k_core(rows: pd.DataFrame, min_user_events: int, min_item_events: int) -> pd.DataFrame:
    """Return rows of users and items that have enough of them, removing until all that is left has."""
    while len(rows):
        user_counts = rows.groupby("user_id")["item_id"].transform("size")
        item_counts = rows.groupby("item_id")["user_id"].transform("size")
        keep = (user_counts >= min_user_events) & (item_counts >= min_item_events)
        if keep.all():
            break
        rows = rows[keep]
    return rows


def _milliseconds(tables: Tables) -> np.ndarray:
    times = tables.events["timestamp"]
    if not tables.has_clock:
        return times.to_numpy(dtype=np.int64)
    return times.dt.as_unit("ms").astype(np.int64).to_numpy()


def _orders(tables: Tables, rows: pd.DataFrame) -> np.ndarray:
    by_time = [rows["user_id"], rows["timestamp_ms"]]
    loose = _groups(by_time) if tables.has_clock else np.arange(len(rows))
    if "order_id" not in tables.events:
        return loose
    order_ids = tables.events["order_id"]
    named = _groups([rows["user_id"], order_ids.fillna("")])
    return np.where(order_ids.notna(), named, len(rows) + loose)


def _groups(keys: list[pd.Series]) -> np.ndarray:
    """Return a number per row, equal where all keys are, growing with first appearance."""
    codes = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        distinct, _ = pd.factorize(key)
        codes = pd.factorize(codes * (distinct.max(initial=0) + 1) + distinct)[0]
    return codes
