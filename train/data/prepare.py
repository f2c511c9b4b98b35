"""From canonical tables to the arrays that training reads, one named step after another."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from cluster.config import Config
from cluster.errors import DataError
from train.data.prepared import Prepared
from train.data.report import Report
from train.data.schema import Catalogue, Interactions, Tables
from train.data.steps.catalogue import build_catalogue, missing_values
from train.data.steps.events import (
    EVENT_WEIGHTS,
    event_weights,
    in_order,
    k_core,
    kept_purchases,
    merge_duplicates,
    newest_per_user,
    to_rows,
)  # fmt: skip
from train.data.steps.reviews import plain_reviews
from train.data.steps.users import plain_users
from train.data.validate import validate

DAY_MS = 86_400_000


class PrepareConfig(Config):
    """Which events make a history, and which items can be recommended."""

    weights: dict[str, float] = Field({}, description="changes to what event types are worth, such as weights.view=0.5")
    custom_weight: float = Field(1.0, ge=0, description="worth of an event type of your own; 0 leaves it out")
    min_user_events: int = Field(1, ge=1, description="k-core: users with fewer events are left out")
    min_item_events: int = Field(1, ge=1, description="k-core: items with fewer events are left out")
    max_user_events: int = Field(5000, ge=2, description="only the newest events of each user are kept")
    archived: bool = Field(
        False, description="move old events in time, the newest to this moment, so that live ones can follow them"
    )
    keep_unseen_items: bool = Field(True, description="items nobody has had yet can be recommended too")


def prepare(tables: Tables, config: PrepareConfig, now: datetime, rejects_folder: Path) -> Prepared:
    """Return checked, cleaned and numbered data; rows that break a rule go to rejects.csv in `rejects_folder`."""
    tables = validate(tables, now, rejects_folder)
    tables, weight, kept = _keep_positive(tables, config)
    reviews, review_idx = plain_reviews(tables.events)
    rows = to_rows(tables, weight, kept)
    rows = rows.assign(review_idx=review_idx) if len(reviews) else rows
    rows, report = _clean(rows, config, tables.report)
    if config.archived or not tables.has_clock:  # a count of events is no time that a live event could follow
        rows, report = _moved_to(now, rows, report)
    catalogue = build_catalogue(
        tables.items, rows["item_id"].to_numpy(), _median_prices(tables.events), config.keep_unseen_items
    )
    return Prepared(
        name=tables.name, interactions=_number(rows, catalogue), has_clock=tables.has_clock,
        catalogue=replace(catalogue, folder=tables.folder),
        report=_describe(report, tables, rows, catalogue), users=plain_users(tables.users), reviews=reviews,
    )  # fmt: skip


def _keep_positive(tables: Tables, config: PrepareConfig) -> tuple[Tables, np.ndarray, np.ndarray]:
    """Leave out what says nothing or something bad about an item; return weights, and which purchases were kept, too.

    What was returned was bought all the same: its row stays.
    """
    weight = event_weights(tables.events, EVENT_WEIGHTS | config.weights, config.custom_weight)
    positive = weight > 0
    left_out = tables.events.loc[~positive, "event_type"].value_counts()
    why = "; ".join(f"{kind}: {count}" for kind, count in left_out.items()) or "every event is positive"
    if not positive.any():
        raise DataError(f"{tables.name}: no event is worth more than 0 ({why}); give one a weight: weights.view=1")
    report = tables.report.add("keep positive events", len(weight), int(positive.sum()), why)
    events = tables.events[positive].reset_index(drop=True)
    return replace(tables, events=events, report=report), weight[positive], kept_purchases(tables.events)[positive]


def _clean(rows: pd.DataFrame, config: PrepareConfig, report: Report) -> tuple[pd.DataFrame, Report]:
    merged = in_order(merge_duplicates(rows))
    report = report.add("merge duplicates", len(rows), len(merged), "one row for an item within an order")
    newest = newest_per_user(merged, config.max_user_events)
    report = report.add("newest per user", len(merged), len(newest), f"at most {config.max_user_events} for each")
    core = k_core(newest, config.min_user_events, config.min_item_events)
    least = f"users have {config.min_user_events}, items {config.min_item_events} events or more"
    if core.empty:
        raise DataError(f"no event is left where {least}; lower min_user_events or min_item_events")
    return core, report.add("k-core", len(newest), len(core), least)


def _moved_to(now: datetime, rows: pd.DataFrame, report: Report) -> tuple[pd.DataFrame, Report]:
    shift_ms = int(now.timestamp() * 1e3) - int(rows["timestamp_ms"].max())
    why = f"by {shift_ms / DAY_MS:,.0f} days, so that the newest event is now"
    return rows.assign(timestamp_ms=rows["timestamp_ms"] + shift_ms), report.add(
        "move in time", len(rows), len(rows), why
    )


def _median_prices(events: pd.DataFrame) -> pd.Series:
    if "price" not in events:
        return pd.Series(dtype=float)
    return events.groupby("item_id")["price"].median()


def _number(rows: pd.DataFrame, catalogue: Catalogue) -> Interactions:
    """Return rows, which come in order, with dense numbers for users, items and orders."""
    user_ids, counts = np.unique(rows["user_id"].to_numpy(dtype=object), return_counts=True)
    order = rows["order"].to_numpy()
    return Interactions(
        user_ids=user_ids,
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        item_idx=pd.Index(catalogue.item_ids).get_indexer(pd.Index(rows["item_id"])).astype(np.int64),
        timestamp_ms=rows["timestamp_ms"].to_numpy(),
        order_idx=np.cumsum(np.diff(order, prepend=order[0]) != 0),
        weight=rows["weight"].to_numpy(),
        purchased=rows["purchased"].to_numpy(dtype=bool),
        kept=rows["kept"].to_numpy(dtype=bool),
        review_idx=rows["review_idx"].to_numpy() if "review_idx" in rows else None,
    )


def _describe(report: Report, tables: Tables, rows: pd.DataFrame, catalogue: Catalogue) -> Report:
    n_items, n_bought, n_attributes = catalogue.n_items, rows["item_id"].nunique(), len(catalogue.attribute_names)
    listed = f"{n_bought} in the history, {n_items - n_bought} only listed; sorted by item_id"
    if repeated := int(tables.items["item_id"].duplicated().sum()):
        listed += f"; {repeated} rows repeat an item_id, of which the last counts"
    price = "log(1 + price), then mean 0 and deviation 1; a missing price counts as the median"
    users = f"{rows['user_id'].nunique()} users, {rows['order'].nunique()} orders"
    return (
        report.add("vocabulary", max(n_items, len(tables.items)), n_items, listed)
        .add("missing values", n_items, n_items, missing_values(catalogue.frame))
        .add("normalise price", n_items, n_items, price)
        .add("attributes", n_items, n_items, f"{n_attributes} shared by 2 items to half of them")
        .add("history", len(rows), len(rows), users)
    )
