"""What items share, as a sparse matrix of zeros and ones."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from train.data.columns import LEVEL

PRICE_BANDS = 5
MIN_ITEMS = 2  # an attribute of one item teaches nothing beyond the item
MAX_SHARE = 0.5  # one that most items have tells them apart little


def item_attributes(frame: pd.DataFrame) -> tuple[csr_matrix, tuple[str, ...]]:
    """Return (n_items, n_attributes) float32 and the names of the columns, such as `brand:Acme` or `price:3`.

    frame: a row per item; `tags` and `attributes` hold lists of strings.
    """
    pairs = _all_pairs(frame, price_edges(frame["price"]))
    counts = pairs.groupby("name").size()
    names = counts[(counts >= MIN_ITEMS) & (counts <= MAX_SHARE * len(frame))].index.sort_values()
    return _matrix(pairs, names, len(frame)), tuple(names)


def known_attributes(frame: pd.DataFrame, names: tuple[str, ...], edges: np.ndarray) -> csr_matrix:
    """Return which of a catalogue's attributes other items have, (n, n_attributes) float32.

    edges: the `price_edges` of the catalogue.
    """
    return _matrix(_all_pairs(frame, edges), pd.Index(names), len(frame))


def price_edges(price: pd.Series) -> np.ndarray:
    """Return the highest price of each band but the last, (4,); each band holds a fifth of the items, cheapest first.

    Equal prices stay together.
    """
    known = np.sort(price.dropna().to_numpy(dtype=float))
    if not len(known):
        return np.empty(0)
    return known[[-(-band * len(known) // PRICE_BANDS) - 1 for band in range(1, PRICE_BANDS)]]


def _all_pairs(frame: pd.DataFrame, edges: np.ndarray) -> pd.DataFrame:
    """Return item_idx and name of everything an item has, each once."""
    return pd.concat([
        _listed(frame, "tags", "tag"), _listed(frame, "attributes", "attribute"),
        _category_levels(frame), _brands(frame), _price_bands(frame, edges), _title_words(frame),
    ]).drop_duplicates()  # fmt: skip


def _matrix(pairs: pd.DataFrame, names: pd.Index, n_items: int) -> csr_matrix:
    columns = names.get_indexer(pd.Index(pairs["name"]))
    known = columns >= 0
    cells = (np.ones(known.sum(), dtype=np.float32), (pairs["item_idx"].to_numpy()[known], columns[known]))
    return csr_matrix(cells, shape=(n_items, len(names)))


def _listed(frame: pd.DataFrame, column: str, kind: str) -> pd.DataFrame:
    if column not in frame:
        return _pairs(pd.Series(dtype="str"), kind)
    return _pairs(frame[column].explode(), kind)


def _category_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every prefix of each path: `A`, `A > B`, `A > B > C`."""
    if "category_path" not in frame:
        return _pairs(pd.Series(dtype="str"), "category")
    paths = frame["category_path"].dropna()
    prefixes = {path: _prefixes(path) for path in paths.unique()}
    return _pairs(paths.map(prefixes).explode(), "category")


def _prefixes(path: str) -> list[str]:
    levels = [level.strip() for level in path.split(LEVEL.strip())]
    return [LEVEL.join(levels[:depth]) for depth in range(1, len(levels) + 1)]


def _brands(frame: pd.DataFrame) -> pd.DataFrame:
    return _pairs(frame["brand"] if "brand" in frame else pd.Series(dtype="str"), "brand")


def _title_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each title's words of two letters or more, in lower case."""
    if "title" not in frame:
        return _pairs(pd.Series(dtype="str"), "word")
    return _pairs(frame["title"].dropna().astype("str").str.lower().str.findall(r"\w\w+").explode(), "word")


def _price_bands(frame: pd.DataFrame, edges: np.ndarray) -> pd.DataFrame:
    """Return the band of each item's price, 0 the cheapest."""
    known = frame["price"].dropna()
    bands = pd.Series(np.searchsorted(edges, known.to_numpy(dtype=float), side="left"), index=known.index)
    return _pairs(bands.astype("str") if len(edges) else bands[:0].astype("str"), "price")


def _pairs(values: pd.Series, kind: str) -> pd.DataFrame:
    values = values.dropna()
    return pd.DataFrame({"item_idx": values.index.astype(int), "name": f"{kind}:" + values.astype("str")})
