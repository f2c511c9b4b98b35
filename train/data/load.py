"""One word for any source: a folder, a file, or the name of a loader."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cluster.errors import DataError
from train.data.loaders.amazon_reviews import is_reviews, load_amazon_reviews, load_sequences, reviews_to_tables
from train.data.loaders.complete_journey import load_complete_journey
from train.data.loaders.files import load_folder, to_tables
from train.data.loaders.online_retail import is_online_retail, load_online_retail, retail_to_tables
from train.data.loaders.read import read_table
from train.data.schema import Tables

COMPLETE_JOURNEY = "complete_journey"
LOADERS: dict[str, Callable[[Path], Tables]] = {
    "online_retail": load_online_retail,
    "online_retail_with_guests": partial(load_online_retail, guests="keep"),
    "amazon_reviews": load_amazon_reviews,
}


def load(data: str) -> Tables:
    """Return the tables of `complete_journey`, of `<loader>:<path>`, or of a folder or file, whose kind is seen."""
    if data == COMPLETE_JOURNEY:
        return load_complete_journey()
    name, separator, rest = data.partition(":")
    if separator and name in LOADERS:
        return LOADERS[name](Path(rest).expanduser())
    path = Path(data).expanduser()
    if path.is_dir():
        return load_folder(path)
    if path.is_file():
        return _load_file(path)
    named = ", ".join(f"{loader}:<path>" for loader in LOADERS)
    raise DataError(f"data={data} is no folder or file here, and no loader; loaders are {COMPLETE_JOURNEY}, {named}")


def _load_file(path: Path) -> Tables:
    if path.suffix == ".txt":
        return load_sequences(path)
    frame = read_table(path)
    if is_online_retail(frame):
        return retail_to_tables(frame, path)
    if is_reviews(frame):
        return reviews_to_tables(frame, path)
    return to_tables(path.stem, frame, path)
