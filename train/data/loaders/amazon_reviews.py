"""Amazon reviews: sequence files as S3-Rec publishes them, and 5-core reviews as csv or json lines."""

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.errors import DataError
from train.data.loaders.files import nothing_known, to_tables
from train.data.loaders.names import plain
from train.data.loaders.read import read_table
from train.data.schema import Tables


def load_amazon_reviews(path: Path) -> Tables:
    """Return the events of a sequence file (.txt) or of a table of reviews."""
    return load_sequences(path) if path.suffix == ".txt" else reviews_to_tables(read_table(path), path)


def is_reviews(frame: pd.DataFrame) -> bool:
    """Return whether a table spells its columns as Amazon reviews do."""
    return {"reviewerid", "asin"} <= {plain(column) for column in frame.columns}


def reviews_to_tables(frame: pd.DataFrame, path: Path) -> Tables:
    """Return reviews as events worth their stars."""
    return to_tables(path.stem, frame, path, default_type="review")


def load_sequences(path: Path) -> Tables:
    """Return a user per line, `user item item …`, oldest first; <stem>_item2attributes.json beside it is read too."""
    user_ids, items = _read_sequences(path)
    lengths = [len(sequence) for sequence in items]
    events = pd.DataFrame({
        "user_id": np.repeat(user_ids, lengths),
        "item_id": list(chain.from_iterable(items)),
        "event_type": "review",
        "timestamp": np.concatenate([np.arange(length) for length in lengths]),
    })  # fmt: skip
    users = nothing_known("user_id")
    return Tables(name=path.stem, events=events, items=_attributes(path), users=users, has_clock=False)


def _read_sequences(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; give a text file with a line per user") from error
    if not lines:
        raise DataError(f"{path} is empty; give a text file with a line `user item item …` per user")
    alone = next((line[0] for line in lines if len(line) < 2), None)
    if alone is not None:
        raise DataError(f"{path}: user {alone!r} has no items; write a line `user item item …` per user")
    return [line[0] for line in lines], [line[1:] for line in lines]


def _attributes(path: Path) -> pd.DataFrame:
    beside = path.with_name(f"{path.stem}_item2attributes.json")
    if not beside.is_file():
        return nothing_known("item_id")
    try:
        attributes = json.loads(beside.read_text())
    except ValueError as error:
        raise DataError(f"cannot read {beside}: {error}; mend it or move it away") from error
    return pd.DataFrame({"item_id": list(attributes), "attributes": list(attributes.values())})
