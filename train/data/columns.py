"""Raw columns, however a file spells them, as numbers, times and lists."""

import json
from typing import Any

import numpy as np
import pandas as pd

# Written by spreadsheets and shops; ISO 8601 is tried first, month before day as UCI and Excel write it.
TIME_FORMATS = (
    "ISO8601", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M", "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "mixed",
)  # fmt: skip
EPOCH_UNITS_PER_MS = ((1e11, 1e-3), (1e14, 1.0), (1e17, 1e3), (np.inf, 1e6))  # upper bound → units in a millisecond
CALENDAR_DAYS = (19_000_101, 21_001_231)  # 20240131 is a day; as seconds these would all be in 1970
MAX_EPOCH_MS = 253_402_300_800_000  # year 10000
FORMAT_SAMPLE = 10_000
LEVEL = " > "  # between the levels of a category path


def as_numbers(raw: pd.Series) -> pd.Series:
    """Return floats; missing stays NaN, and what is no number becomes infinite, which no rule lets pass."""
    numbers = pd.to_numeric(raw, errors="coerce").astype(float)
    return numbers.mask(numbers.isna() & raw.notna(), np.inf)


def as_utc(raw: pd.Series) -> pd.Series:
    """Return times in UTC, NaT where unreadable; times without a zone are taken as UTC.

    Numbers count seconds, ms, µs or ns since the epoch, or spell days as 20240131.
    """
    if pd.api.types.is_datetime64_any_dtype(raw):
        return pd.to_datetime(raw, utc=True)
    if pd.api.types.is_numeric_dtype(raw):
        return _from_numbers(pd.to_numeric(raw).astype(float))
    numbers = pd.to_numeric(raw.astype("str"), errors="coerce")
    texts = raw.astype("str").mask(numbers.notna())
    return _from_numbers(numbers).fillna(_from_text(texts))


def as_texts(raw: pd.Series) -> pd.Series:
    """Return stripped texts; an empty one is missing."""
    texts = raw.astype("str").str.strip()
    return texts.mask(texts == "")


def as_paths(raw: pd.Series) -> pd.Series:
    """Return category paths as text, `A > B > C`; a list of levels is joined, of several such lists the first."""
    return as_texts(pd.Series([_path(value) for value in raw], index=raw.index, dtype=object))


def as_lists(raw: pd.Series) -> pd.Series:
    """Return a list of texts per row; "a|b" holds two, a missing value none."""
    return pd.Series([_list(value) for value in raw], index=raw.index, name=raw.name, dtype=object)


def as_mappings(frame: pd.DataFrame) -> pd.Series:
    """Return a mapping from column to value per row, without the missing ones."""
    rows = frame.astype(object).to_dict("records")
    return pd.Series([{str(k): v for k, v in row.items() if _is_there(v)} for row in rows], frame.index, dtype=object)


def as_mapping(value: Any) -> Any:
    """Return the mapping that a text holds as JSON; anything else stays what it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _from_numbers(numbers: pd.Series) -> pd.Series:
    finite = numbers[np.isfinite(numbers)]
    if len(finite) and finite.between(*CALENDAR_DAYS).all():
        return _parse(numbers.where(np.isfinite(numbers)).astype("Int64").astype("str"), "%Y%m%d")
    size = float(finite.abs().median()) if len(finite) else 0.0
    per_ms = next(units for bound, units in EPOCH_UNITS_PER_MS if size < bound)
    milliseconds = numbers / per_ms
    readable = milliseconds.abs() < MAX_EPOCH_MS
    times = pd.to_datetime(milliseconds.where(readable, 0).astype(np.int64), unit="ms", utc=True)
    return times.where(readable)


def _from_text(texts: pd.Series) -> pd.Series:
    distinct = texts.dropna().drop_duplicates()
    # Spread over the whole column: the first twelve days of a month cannot tell 3/4 from 4/3.
    sample = distinct.iloc[:: max(1, len(distinct) // FORMAT_SAMPLE)]
    best = max(TIME_FORMATS, key=lambda spelling: _parse(sample, spelling).notna().sum())
    return _parse(texts, best)


def _parse(texts: pd.Series, spelling: str) -> pd.Series:
    return pd.to_datetime(texts, format=spelling, utc=True, errors="coerce")


def _path(value: Any) -> Any:
    if not isinstance(value, list | tuple | np.ndarray):
        return value
    if len(value) and isinstance(value[0], list | tuple | np.ndarray):
        value = value[0]
    return LEVEL.join(str(level) for level in value)


def _list(value: Any) -> list[str]:
    if isinstance(value, list | tuple | np.ndarray):
        return [str(entry) for entry in value]
    return [part.strip() for part in str(value).split("|") if part.strip()] if _is_there(value) else []


def _is_there(value: Any) -> bool:
    return not pd.api.types.is_scalar(value) or bool(pd.notna(value))
