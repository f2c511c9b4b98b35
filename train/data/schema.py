"""The words of the data: canonical tables as files hold them, and the arrays that training reads."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from train.data.report import NOTHING, Report

EVENT_COLUMNS = (
    "user_id", "item_id", "event_type", "timestamp", "value", "quantity", "price", "session_id", "order_id", "text",
)  # fmt: skip
ITEM_COLUMNS = (
    "item_id", "title", "description", "category_path", "tags", "brand", "price", "rating", "image", "attributes",
    "catalogue",
)  # fmt: skip
USER_COLUMNS = ("user_id", "traits")
PRODUCTS = "products"  # the catalogue of items that name none

Targets = Literal["next_item", "next_order"]
Goal = Literal["click", "purchase"]  # what a shopper may do with an item; a click is any positive event
NO_ITEM = -1  # pads item_idx arrays of unequal length, always on the left


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """One source in canonical columns, unchecked; a loader returns it.

    events: columns of EVENT_COLUMNS that the source has, at least user_id, item_id and timestamp (UTC).
    items: columns of ITEM_COLUMNS, at least item_id; `tags` and `attributes` hold lists of strings.
    users: columns of USER_COLUMNS; `traits` holds a mapping per user.
    has_clock: False when the source knows only an order of events and `timestamp` merely counts them.
    report: what the loader left out, and why.
    folder: where paths of `image` start.
    """

    name: str
    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    has_clock: bool = True
    report: Report = NOTHING
    folder: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything known of the items; row i of every part describes item_idx i."""

    frame: pd.DataFrame  # (n_items) columns of ITEM_COLUMNS, missing ones absent; price is as the source has it
    attributes: csr_matrix  # (n_items, n_attributes) 0/1 float32: tags, category levels, brand, price band
    attribute_names: tuple[str, ...]
    folder: Path | None = None  # where paths of `image` start; unknown where pictures cannot be read

    @cached_property
    def item_ids(self) -> np.ndarray:
        """(n_items,) object array of str."""
        return self.frame["item_id"].to_numpy(dtype=object)

    @cached_property
    def index(self) -> dict[str, int]:
        """item_id → item_idx."""
        return {item_id: item_idx for item_idx, item_id in enumerate(self.item_ids)}

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return len(self.frame)


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """History: user u owns rows offsets[u]:offsets[u + 1], oldest first; n rows in all.

    Lines of one order share order_idx, which grows along a user's history; where the source knows no orders,
    each row is an order of its own.
    """

    user_ids: np.ndarray  # (n_users,) object array of str
    offsets: np.ndarray  # (n_users + 1,) int64
    item_idx: np.ndarray  # (n,) int64
    timestamp_ms: np.ndarray  # (n,) int64 since the epoch, UTC
    order_idx: np.ndarray  # (n,) int64, unique to one user's one order
    weight: np.ndarray  # (n,) float32, what the event type is worth; > 0
    purchased: np.ndarray | None = None  # (n,) bool, which rows are purchases; absent where nobody knows
    kept: np.ndarray | None = None  # (n,) bool, which purchases no return took back; absent where nobody knows
    review_idx: np.ndarray | None = None  # (n,) int64, its row in a table of reviews, −1 for none; absent without any
    opinion: np.ndarray | None = None  # (n,) float32, −1 to 1, NaN for none, see train/critic.py; absent until read
    traits: csr_matrix | None = None  # (n_users, n_traits) float32, see train/encoders/traits.py; where a model asks

    @cached_property
    def index(self) -> dict[str, int]:
        """user_id → user_idx."""
        return {user_id: user_idx for user_idx, user_id in enumerate(self.user_ids)}

    @cached_property
    def user_idx(self) -> np.ndarray:
        """(n,) int64, the owner of each row."""
        return np.repeat(np.arange(self.n_users), np.diff(self.offsets))

    @property
    def n_users(self) -> int:
        """Users, some perhaps without rows."""
        return len(self.user_ids)

    @cached_property
    def goals(self) -> tuple[Goal, ...]:
        """What the source tells apart; one where all its events are of a kind."""
        if self.purchased is None or not self.purchased.any():
            return ("click",)
        return ("purchase",) if self.purchased.all() else ("click", "purchase")

    def __len__(self) -> int:
        return len(self.item_idx)

    def items_of(self, user_idx: int) -> np.ndarray:
        """Return the user's item_idx, oldest first."""
        return self.item_idx[self.offsets[user_idx] : self.offsets[user_idx + 1]]

    def traits_of(self, user_idx: int) -> np.ndarray | None:
        """Return what is known of the user beside this, (n_traits,) float32, or nothing."""
        row = None if self.traits is None else csr_matrix(self.traits[user_idx])
        return row.toarray()[0] if row is not None and row.nnz else None

    def where(self, mask: np.ndarray) -> "Interactions":
        """Return the rows where `mask` (n,) is true; every user keeps their user_idx."""
        offsets = np.concatenate(([0], np.cumsum(mask)))[self.offsets].astype(np.int64)
        columns = {name: column[mask] for name in OF_ROWS if (column := getattr(self, name)) is not None}
        return replace(self, offsets=offsets, **columns)


OF_ROWS = ("item_idx", "timestamp_ms", "order_idx", "weight", "purchased", "kept", "review_idx", "opinion")


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Questions with known answers: after the first `cut` rows of a user, which items came next?"""

    user_idx: np.ndarray  # (q,) int64
    cut: np.ndarray  # (q,) int64, rows of the user's whole history that may be read
    truth_offsets: np.ndarray  # (q + 1,) int64
    truth: np.ndarray  # (t,) item_idx, distinct within a query
    purchased: np.ndarray | None = None  # (t,) bool, which of them were purchases; absent where nobody knows

    def __len__(self) -> int:
        return len(self.user_idx)

    def truth_of(self, query: int) -> np.ndarray:
        """Return the distinct item_idx that answer a query."""
        return self.truth[self._answers(query)]

    @property
    def query(self) -> np.ndarray:
        """(t,) whose answer each is."""
        return np.repeat(np.arange(len(self)), np.diff(self.truth_offsets))

    def reached(self, query: int, goal: Goal) -> np.ndarray:
        """Return the answers that reached a goal; where nobody knows of purchases, all did."""
        truth = self.truth_of(query)
        return truth if goal == "click" or self.purchased is None else truth[self.purchased[self._answers(query)]]

    def take(self, chosen: np.ndarray) -> "Queries":
        """Return the queries at positions `chosen`, in that order."""
        counts = np.diff(self.truth_offsets)[chosen]
        places = np.arange(len(self.truth))
        rows = np.concatenate([np.empty(0, np.int64), *(places[self._answers(int(query))] for query in chosen)])
        return Queries(
            user_idx=self.user_idx[chosen], cut=self.cut[chosen],
            truth_offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64), truth=self.truth[rows],
            purchased=None if self.purchased is None else self.purchased[rows],
        )  # fmt: skip

    def _answers(self, query: int) -> slice:
        return slice(self.truth_offsets[query], self.truth_offsets[query + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows may be targets; the others are read and never asked for."""

    targets: Targets = "next_order"
    min_weight: float = 0.0  # what a target is worth at least
    after_ms: int | None = None  # targets happened later than this

    @property
    def is_part(self) -> bool:
        """Whether there may be rows that nobody aims at."""
        return self.min_weight > 0 or self.after_ms is not None


EVERY = Wanted()


@dataclass(frozen=True, kw_only=True)
class Split:
    """What training may read, and what it is tested on; both point into `history`, the whole of it."""

    history: Interactions
    train: Interactions  # the rows of `history` that fitting may read, same user_idx
    counted: Interactions  # those before any reported query: what a live store would have counted by then
    valid: Queries
    test: Queries  # empty under leave-one-out, where the test items never were in the file
    wanted: Wanted = EVERY  # what training aims at, so that it learns to answer such queries
    report: Report = NOTHING  # whom no query was made for, and why
