"""The live catalogue: the bundle's items, those that came later, and what the shop has written of either since."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from serve.state.events import Write
from serve.state.membership import Membership, home_of
from train.data.schema import ITEM_COLUMNS

TOLD = tuple(name for name in ITEM_COLUMNS if name != "item_id")
DIGITS = 16  # of the sha256 of a content


class LiveCatalogue:
    """Who the items are, of all the shop's catalogues; item_idx counts the bundle's first, then others as they came."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """frame: the bundle's `items`."""
        self.frame = frame
        self.item_ids: list[str] = frame["item_id"].tolist()
        self.index = {item_id: item_idx for item_idx, item_id in enumerate(self.item_ids)}
        self.written: dict[int, str] = {}  # item_idx → content
        self.membership = Membership(frame)
        self.changes: list[int] = []  # item_idx of all writes that this object saw, in order
        self.unplaced: set[int] = set()  # items that no h_i has come for since they were written

    @property
    def n_published(self) -> int:
        """How many are the bundle's."""
        return len(self.frame)

    def __len__(self) -> int:
        return len(self.item_ids)

    def content(self, item_idx: int) -> str:
        """Return what an item says of itself, as JSON; nothing when it is no longer offered."""
        if (content := self.written.get(item_idx)) is not None:
            return content
        return self.published(item_idx)

    def content_of(self, item_id: str) -> str:
        """As `content`; nothing where there never was such an item."""
        item_idx = self.index.get(item_id)
        return "" if item_idx is None else self.content(item_idx)

    def lacks_vector(self, item_id: str) -> bool:
        """Tell whether no h_i has come for an item since it was written."""
        return self.index.get(item_id) in self.unplaced

    def published(self, item_idx: int) -> str:
        """Return what one of the bundle's items said when the bundle was made."""
        row = {name: self.frame[name].iat[item_idx] for name in TOLD if name in self.frame}
        return written_content({name: _plain(value) for name, value in row.items()})

    def told(self, item_idx: int) -> dict[str, Any]:
        """Return what an item says of itself, by the names of written_content; nothing when it is no longer offered."""
        return json.loads(self.content(item_idx) or "{}")

    def write(self, write: Write, is_placed: bool) -> int:
        """Take what was written and return the item_idx; a new item's is the next one."""
        item_idx = self.index.setdefault(write.id, len(self.item_ids))
        if item_idx == len(self.item_ids):
            self.item_ids.append(write.id)
        self.written[item_idx] = write.content
        self.membership.put(item_idx, home_of(write.content))
        self.changes.append(item_idx)
        if is_placed or not write.content:
            self.unplaced.discard(item_idx)
        else:
            self.unplaced.add(item_idx)
        return item_idx

    def to_array(self) -> np.ndarray:
        """Return all that differs from the bundle's, as one JSON in bytes (m,) uint8."""
        later = self.item_ids[self.n_published :]
        told = [later, sorted(self.written.items()), sorted(self.unplaced), *self.membership.begun]
        return np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)

    def restore(self, array: np.ndarray) -> None:
        """Go back to what `to_array` returned for the same bundle."""
        later, written, unplaced, *begun = json.loads(array.tobytes())
        before = self._later(), self.written
        for item_id in self.item_ids[self.n_published :]:
            del self.index[item_id]
        self.item_ids[self.n_published :] = later
        self.index.update(zip(later, range(self.n_published, len(self.item_ids)), strict=True))
        self.written, self.unplaced = dict(written), set(unplaced)
        self.membership = Membership(self.frame)
        self.membership.begin(*begun)
        for item_idx, content in written:
            self.membership.put(item_idx, home_of(content))
        for old, new in zip(before, (self._later(), self.written), strict=True):
            self.changes += sorted(one for one in old.keys() | new.keys() if old.get(one) != new.get(one))

    def _later(self) -> dict[int, str]:
        return dict(enumerate(self.item_ids[self.n_published :], self.n_published))


def written_content(told: Mapping[str, Any]) -> str:
    """Return an item's facts as the log keeps them: JSON in one spelling, without what is missing or empty."""
    return json.dumps(
        {name: value for name, value in told.items() if _is_said(value)},
        ensure_ascii=False, sort_keys=True, separators=(",", ":"),
    )  # fmt: skip


def etag(content: str) -> str:
    """Return what changes whenever a content does."""
    return hashlib.sha256(content.encode()).hexdigest()[:DIGITS]


def _is_said(value: Any) -> bool:
    return value is not None and value != [] and value != {}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or value is pd.NA or value != value else value
