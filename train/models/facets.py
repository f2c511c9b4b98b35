"""What tells items apart at a glance: category, brand and price, a number each."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from train.data.columns import LEVEL

CODE_BYTES = 4  # that two texts of a shop share a code is unlikely, and then two brands are taken for one
HIGHEST = 1e12  # price that is told from higher ones; beyond single precision one would be infinite


@dataclass(slots=True, kw_only=True)
class Facets:
    """Arrays over item_idx, 0 where an item does not say.

    A code is a digest of a text, so that an item that comes later finds the one of its brand without a vocabulary.
    """

    category: np.ndarray  # (n_items,) uint32, of the whole path
    brand: np.ndarray  # (n_items,) uint32
    price: np.ndarray  # (n_items,) float32

    def write(self, item_idx: int, told: Mapping[str, Any]) -> None:
        """Take what an item says of itself from now on."""
        self.category[item_idx] = _category_code(told.get("category_path"))
        self.brand[item_idx] = _code(told.get("brand"))
        self.price[item_idx] = min(told.get("price") or 0.0, HIGHEST)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def fit_facets(frame: pd.DataFrame) -> Facets:
    """Return the facets of a catalogue's items; absent columns say nothing."""

    def codes(name: str, code: Any) -> np.ndarray:
        if name not in frame:
            return np.zeros(len(frame), np.uint32)
        which, texts = pd.factorize(frame[name])  # −1 for none
        return np.array([*map(code, texts.tolist()), 0], np.uint32)[which]

    price = frame["price"].fillna(0.0).clip(upper=HIGHEST) if "price" in frame else np.zeros(len(frame))
    return Facets(
        category=codes("category_path", _category_code), brand=codes("brand", _code), price=np.array(price, np.float32)
    )  # fmt: skip


def no_facets(n_items: int) -> Facets:
    """Return the facets of items that say nothing."""
    return Facets(
        category=np.zeros(n_items, np.uint32), brand=np.zeros(n_items, np.uint32), price=np.zeros(n_items, np.float32)
    )


def _category_code(path: str | None) -> int:
    return _code(path and LEVEL.join(level.strip() for level in path.split(LEVEL.strip())))


def _code(text: str | None) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=CODE_BYTES).digest(), "little") if text else 0
