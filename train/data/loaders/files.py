"""A shop's own files: a folder of events and, where there are any, items and users; or one file of events."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from cluster.errors import DataError
from train.data.columns import as_mappings, as_utc
from train.data.loaders.names import EVENT_NAMES, ITEM_NAMES, USER_NAMES, canonical, plain, require
from train.data.loaders.read import SUFFIXES, read_table
from train.data.schema import EVENT_COLUMNS, Tables

EVENT_FILES = ("events", "interactions")
LIVE_FILES, LIVE_ITEMS = ("live",), ("live_items",)  # what `serve/run.py events` writes


def load_folder(folder: Path) -> Tables:
    """Return events.* or interactions.*, live.*, items.*, live_items.* and users.* of a folder."""
    path = _find(folder, EVENT_FILES)
    if path is None:
        found = ", ".join(sorted(child.name for child in folder.iterdir())) or "nothing"
        raise DataError(f"{folder} holds no events.parquet or events.csv, but {found}; add one or pass a file")
    tables = replace(to_tables(folder.resolve().name, read_table(path), path), folder=folder.resolve())
    if live := _find(folder, LIVE_FILES):
        tables = _followed(tables, to_tables(tables.name, read_table(live), live), live)
    if items := _find(folder, ("items",)):
        tables = replace(tables, items=_items(items))
    if written := _find(folder, LIVE_ITEMS):  # of several rows of an item the last counts
        tables = replace(tables, items=_written_over(tables.items, _items(written)))
    if users := _find(folder, ("users",)):
        tables = replace(tables, users=_users(users))
    return tables


def to_tables(name: str, frame: pd.DataFrame, path: Path, default_type: str | None = None) -> Tables:
    """Return canonical tables from a frame of events read from `path`.

    Without a user the session is the user. Without times, `position` counts the events of each user. Without event
    types and `default_type`, lines of orders are purchases and all else are views.
    """
    events = canonical(frame, EVENT_NAMES)
    if "user_id" not in events and "session_id" in events:
        events["user_id"] = events["session_id"]
    has_clock = "timestamp" in events or "position" not in events
    if not has_clock:
        events["timestamp"] = events["position"]
    require(events, ("user_id", "item_id", "timestamp"), EVENT_NAMES, path, frame.columns)
    if "event_type" not in events:
        sold = "order_id" in events or "quantity" in events
        events["event_type"] = default_type or ("purchase" if sold else "view")
    return Tables(
        name=name,
        events=events[[column for column in EVENT_COLUMNS if column in events]],
        items=nothing_known("item_id"),
        users=nothing_known("user_id"),
        has_clock=has_clock,
    )


def _followed(tables: Tables, live: Tables, path: Path) -> Tables:
    if not tables.has_clock or not live.has_clock:
        raise DataError(f"{path} can follow events with times alone; give `timestamp` in both files")
    both = [one.events.assign(timestamp=as_utc(one.events["timestamp"])) for one in (tables, live)]
    return replace(tables, events=pd.concat(both, ignore_index=True))


def nothing_known(name: str) -> pd.DataFrame:
    """Return a table of items or users without a row."""
    return pd.DataFrame({name: pd.Series(dtype="str")})


def _find(folder: Path, stems: tuple[str, ...]) -> Path | None:
    paths = (folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _written_over(items: pd.DataFrame, written: pd.DataFrame) -> pd.DataFrame:
    """Return listed items followed by what was written of some over HTTP; their pictures stay the listed ones."""
    if "image" in items:
        images = items.drop_duplicates("item_id", keep="last").set_index("item_id")["image"]
        written = written.assign(image=written["item_id"].map(images))
    return pd.concat([items, written], ignore_index=True)


def _items(path: Path) -> pd.DataFrame:
    frame = read_table(path)
    items = canonical(frame, ITEM_NAMES)
    require(items, ("item_id",), ITEM_NAMES, path, frame.columns)
    return items


def _users(path: Path) -> pd.DataFrame:
    frame = read_table(path)
    users = canonical(frame, USER_NAMES)
    require(users, ("user_id",), USER_NAMES, path, frame.columns)
    if "traits" not in users:
        ids = [column for column in frame.columns if plain(column) in USER_NAMES["user_id"]]
        users["traits"] = as_mappings(frame.drop(columns=ids))
    return users
