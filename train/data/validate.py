"""Rules that every table must keep; rows that break one are set aside with the reason."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cluster.errors import DataError
from cluster.storage import whole_file
from train.data.columns import as_mapping, as_numbers, as_texts, as_utc
from train.data.ids import CATALOGUE_PROBLEMS, ID_PROBLEMS, as_ids, has_control_characters
from train.data.report import Report
from train.data.schema import Tables

REJECTS_FILE = "rejects.csv"
MAX_EVENT_TYPE_LENGTH = 64
EVENT_TYPE_PROBLEMS: dict[str, Callable[[str], bool]] = {
    "is empty": lambda text: not text,
    f"is longer than {MAX_EVENT_TYPE_LENGTH} characters": lambda text: len(text) > MAX_EVENT_TYPE_LENGTH,
    "holds control characters": has_control_characters,
}
DEFAULT_EVENT_TYPE = "view"


def validate(tables: Tables, now: datetime, rejects_folder: Path) -> Tables:
    """Return the rows that keep the rules; the others go to rejects.csv in `rejects_folder` with their reasons.

    Raises DataError when there are no events, or when a table loses all its rows.
    """
    if tables.events.empty:
        raise DataError(f"{tables.name} holds no events; give a file with at least one row of history")
    checked = {
        "events": (_plain_events(tables), _events_schema(now, tables.has_clock)),
        "items": (_plain(tables.items), _items_schema()),
        "users": (_plain_users(tables.users), _users_schema()),
    }
    reasons = {name: _reasons(frame, schema) for name, (frame, schema) in checked.items()}
    rejects = _write_rejects(tables, reasons, rejects_folder)
    report = tables.report
    for name, reason in reasons.items():
        if reason.empty:
            continue
        _refuse_nothing_left(name, reason, tables.name, rejects)
        report = _add_counts(report, name, reason)
    frames = {name: frame[reasons[name].isna()].reset_index(drop=True) for name, (frame, _) in checked.items()}
    return replace(tables, **frames, report=report)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ids and names as text and numbers as floats, rows counted from 0."""
    frame = frame.reset_index(drop=True)
    ids = {name: as_ids(frame[name]) for name in ("user_id", "item_id") if name in frame}
    numbers = {name: as_numbers(frame[name]) for name in ("value", "quantity", "price", "rating") if name in frame}
    texts = {name: as_texts(frame[name]) for name in ("catalogue",) if name in frame}
    return frame.assign(**ids, **numbers, **texts)


def _plain_users(users: pd.DataFrame) -> pd.DataFrame:
    frame = _plain(users)
    return frame.assign(traits=frame["traits"].map(as_mapping)) if "traits" in frame else frame


def _plain_events(tables: Tables) -> pd.DataFrame:
    frame = _plain(tables.events)
    times = as_utc(frame["timestamp"]) if tables.has_clock else as_numbers(frame["timestamp"])
    if "event_type" not in frame:
        return frame.assign(timestamp=times, event_type=DEFAULT_EVENT_TYPE)
    return frame.assign(timestamp=times, event_type=frame["event_type"].astype("str").str.strip().str.lower())


def _events_schema(now: datetime, has_clock: bool) -> pa.DataFrameSchema:
    clock = [pa.Check(lambda times: times <= pd.Timestamp(now), error="timestamp is in the future")]
    count = [pa.Check(lambda order: (order >= 0) & (order % 1 == 0), error="position is not a whole number from 0 on")]
    return pa.DataFrameSchema({
        "user_id": _id_column("user_id"),
        "item_id": _id_column("item_id"),
        "timestamp": pa.Column(checks=clock if has_clock else count),
        "event_type": pa.Column(checks=_each(EVENT_TYPE_PROBLEMS, "event_type")),
        "value": _number("value"),
        "quantity": _number("quantity"),
        "price": _price(),
    })  # fmt: skip


def _items_schema() -> pa.DataFrameSchema:
    return pa.DataFrameSchema({
        "item_id": _id_column("item_id"),
        "price": _price(),
        "rating": _number("rating"),
        "catalogue": pa.Column(nullable=True, required=False, checks=_each(CATALOGUE_PROBLEMS, "catalogue")),
    })  # fmt: skip


def _users_schema() -> pa.DataFrameSchema:
    mappings = pa.Check(lambda traits: traits.map(lambda told: isinstance(told, dict)), error="traits are no mapping")
    return pa.DataFrameSchema({"user_id": _id_column("user_id"), "traits": pa.Column(required=False, checks=mappings)})


def _id_column(name: str) -> pa.Column:
    return pa.Column(checks=_each(ID_PROBLEMS, name))


def _number(name: str) -> pa.Column:
    return pa.Column(nullable=True, required=False, checks=[pa.Check(np.isfinite, error=f"{name} is not a number")])


def _price() -> pa.Column:
    positive = pa.Check(lambda price: price >= 0, error="price is negative")
    return pa.Column(nullable=True, required=False, checks=[*_number("price").checks, positive])


def _each(problems: dict[str, Callable[[str], bool]], name: str) -> list[pa.Check]:
    return [_value_check(applies, f"{name} {problem}") for problem, applies in problems.items()]


def _value_check(applies: Callable[[str], bool], error: str) -> pa.Check:
    """Return a check made once per distinct value, since a column repeats few of them."""

    def passes(column: pd.Series) -> pd.Series:
        return ~column.isin([value for value in column.unique() if applies(value)])

    return pa.Check(passes, error=error)


def _reasons(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.Series:
    """Return why each row is refused, NA where it is not; of several reasons the first."""
    reasons = pd.Series(index=frame.index, dtype="str")
    if frame.empty:
        return reasons
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        first = error.failure_cases.drop_duplicates("index")
        missing = first["column"] + " is missing or cannot be read"
        texts = first["check"].mask(first["check"] == "not_nullable", missing)
        reasons.loc[first["index"].astype(int)] = texts.to_numpy()
    return reasons


def _write_rejects(tables: Tables, reasons: dict[str, pd.Series], folder: Path) -> Path:
    path = folder / REJECTS_FILE
    frames = {"events": tables.events, "items": tables.items, "users": tables.users}
    parts = [_rejects(name, frame, reasons[name]) for name, frame in frames.items() if reasons[name].notna().any()]
    if not parts:
        path.unlink(missing_ok=True)  # that of an earlier run
        return path
    with whole_file(path) as aside:
        pd.concat(parts).to_csv(aside, index=False)
    return path


def _rejects(name: str, frame: pd.DataFrame, reason: pd.Series) -> pd.DataFrame:
    """Return the refused rows as the source had them."""
    rows = np.flatnonzero(reason.notna())
    described = pd.DataFrame({"table": name, "row": rows, "reason": reason.iloc[rows].to_numpy()})
    return pd.concat([described, frame.iloc[rows].reset_index(drop=True)], axis=1)


def _refuse_nothing_left(name: str, reason: pd.Series, source: str, rejects: Path) -> None:
    if reason.notna().all():
        commonest, count = next(iter(reason.value_counts().items()))
        raise DataError(
            f"{source}: all {len(reason)} rows of {name} are refused, {count} of them because {commonest}; "
            f"look at {rejects} and mend the file"
        )


def _add_counts(report: Report, name: str, reason: pd.Series) -> Report:
    counts = "; ".join(f"{text}: {count}" for text, count in reason.value_counts().items())
    return report.add(f"check {name}", len(reason), int(reason.isna().sum()), counts or "every row keeps the rules")
