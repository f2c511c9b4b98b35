"""The vocabulary of items, and what is known of them."""

import logging

import numpy as np
import pandas as pd

from train.data.columns import as_lists, as_numbers, as_paths, as_texts
from train.data.schema import ITEM_COLUMNS, PRODUCTS, Catalogue
from train.data.steps.attributes import item_attributes

log = logging.getLogger(__name__)

TEXT_COLUMNS = ("title", "description", "brand", "image", "catalogue")
NUMBER_COLUMNS = ("price", "rating")
LIST_COLUMNS = ("tags", "attributes")
LONGEST = {"title": 1_000, "brand": 1_000, "description": 10_000}  # characters; titles travel with every slate


def build_catalogue(items: pd.DataFrame, bought: np.ndarray, prices: pd.Series, keep_unseen: bool) -> Catalogue:
    """Return the items of the history, and with `keep_unseen` those that are only listed, sorted by item_id.

    items: what the source lists; of several rows of one item the last counts. bought: (n,) item_ids of the history.
    prices: what items cost in events, by item_id; fills in where `items` has no price.
    """
    listed = items.drop_duplicates("item_id", keep="last").set_index("item_id")
    item_ids = np.unique(bought.astype(object))
    if keep_unseen:
        item_ids = np.union1d(item_ids, listed.index.to_numpy(dtype=object))
    frame = listed.reindex(item_ids).rename_axis("item_id").reset_index()
    frame["price"] = _filled_prices(frame, prices)
    frame = plain_items(frame)
    frame["price_z"] = normalised_price(frame["price"])
    return catalogue_of(frame)


def catalogue_of(frame: pd.DataFrame) -> Catalogue:
    """Return the catalogue whose prepared frame is known, such as a bundle's, with its attributes made anew."""
    attributes, names = item_attributes(frame)
    return Catalogue(frame=frame, attributes=attributes, attribute_names=names)


def plain_items(items: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of items as texts, paths, numbers and lists; a row per item, counted from 0."""
    frame = items[[name for name in ITEM_COLUMNS if name in items]].reset_index(drop=True)
    kinds = {
        **dict.fromkeys(TEXT_COLUMNS, as_texts),
        **dict.fromkeys(LIST_COLUMNS, as_lists),
        **dict.fromkeys(NUMBER_COLUMNS, as_numbers),
        "category_path": as_paths,
    }
    frame = frame.assign(**{name: convert(frame[name]) for name, convert in kinds.items() if name in frame})
    if "catalogue" in frame:  # said in one way, so that writing again what an item says changes nothing
        frame["catalogue"] = frame["catalogue"].mask(frame["catalogue"] == PRODUCTS)
    return frame.assign(**{name: _cut(frame[name], longest) for name, longest in LONGEST.items() if name in frame})


def normalised_price(price: pd.Series) -> pd.Series:
    """Return log(1 + price) with mean 0 and standard deviation 1; a missing price counts as the median."""
    logarithm = pd.Series(np.log1p(price))
    filled = logarithm.fillna(logarithm.median()).fillna(0.0)
    deviation = float(filled.std(ddof=0))
    return (filled - filled.mean()) / (deviation if deviation > 0 else 1.0)


def missing_values(frame: pd.DataFrame) -> str:
    """Return how many items lack what, in words."""
    said = [name for name in ITEM_COLUMNS if name in frame and name != "catalogue"]  # none is one, too
    counts = {name: int(_lacks(frame[name]).sum()) for name in said}
    absent = [f"no {name}: {count}" for name, count in counts.items() if count]
    return "; ".join(absent) or "nothing is missing"


def _filled_prices(frame: pd.DataFrame, prices: pd.Series) -> pd.Series:
    seen = frame["item_id"].map(prices)
    return frame["price"].fillna(seen) if "price" in frame else seen


def _cut(texts: pd.Series, longest: int) -> pd.Series:
    """Return the beginning of texts that are too long: a broken export of one item shall not stop a shop."""
    too_long = texts.str.len() > longest
    if too_long.any():
        log.warning("cut texts column=%s rows=%d characters=%d", texts.name, too_long.sum(), longest)
    return texts.mask(too_long, texts.str.slice(0, longest))


def _lacks(column: pd.Series) -> pd.Series:
    return column.isna() | (column.map(len) == 0) if column.name in LIST_COLUMNS else column.isna()
