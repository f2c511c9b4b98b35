"""The live state: a bundle's items, counts and vectors, carried forward by the log."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import Field

from cluster.config import Config
from serve.state.catalogue import LiveCatalogue
from serve.state.documents import Documents
from serve.state.events import DOCUMENTS, ITEM, TRAITS, Write
from serve.state.figures import Figures
from serve.state.marks import Marks
from serve.state.moves import STILL, Moved
from serve.state.rooms import Rooms, padded_rows
from serve.state.shoppers import Shoppers
from train.bundle_state import BundleState
from train.models.item_state import ItemState

RULE = 10  # raise it when `learner.apply` or completion changes, so that no snapshot or replica mixes two rules


class LearnerConfig(Config):
    """How far one event moves the items."""

    learning_rate: float = Field(
        default=0.003, ge=0, le=0.1, description="Adagrad step on an item's row; 0 freezes the rows"
    )
    negatives: int = Field(default=16, ge=0, le=1_024, description="sampled items pushed away per event")
    max_drift: float = Field(
        default=0.1, ge=0, le=10, description="furthest a coordinate may move from the bundle's vector"
    )

    trusted_rows: int = Field(
        default=10,
        ge=0,
        description="rows of a history, up to the transitions' window, after which all counts",
    )
    trusted_hours: float = Field(
        default=0,
        ge=0,
        description="age of a history after which all counts, in proportion before; 0: at once, as single visits need",
    )
    repeat_minutes: float = Field(
        default=60, ge=0, description="a shopper's same item again within this time counts for nobody else"
    )

    judged_window: int = Field(
        default=2_000, ge=2, description="judged events after which one counts a third in the prequential figure"
    )
    guard_events: int = Field(
        default=500, ge=2, description="judged events before which the live items are always trusted"
    )

    @property
    def rule(self) -> str:
        """Name of the rule with these settings."""
        return f"{RULE}-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]}"


@dataclass(slots=True, kw_only=True)
class LiveState:
    """What `learner.apply` advances; nothing else writes to it.

    The object, `items`, `catalogue` and `documents` stay the same for life; arrays are written in place, and bound
    anew when there are more items than before.
    """

    bundle: str  # version
    config: LearnerConfig
    catalogue: LiveCatalogue
    documents: Documents
    items: ItemState
    published: ItemState  # the same items as the bundle and the shop know them, which no event moves
    squares: np.ndarray  # (n_items,) float32, Adagrad's sum of squared gradients per row
    shoppers: Shoppers
    figures: Figures
    usual_repeat_rate: float  # of an item that nobody had yet
    marks: Marks = field(default_factory=Marks)  # of shoppers whom events changed
    version: int = 0  # seq of the last event applied
    _rooms: Rooms = field(default_factory=Rooms)

    def content(self, kind: str, name: str) -> str:
        """Return what an item or a document says, as JSON; nothing where there is none."""
        return self.catalogue.content_of(name) if kind == ITEM else self.documents.get(kind, name).content

    def write(self, write: Write, vector: np.ndarray, seq: int) -> Moved:
        """Take what the shop says of an item, and h_i (d,) that this gives it, of a document or of a shopper.

        Zeros leave the item's vector where it is. What events taught the item so far is kept.
        """
        if write.kind == ITEM:
            return self._write_item(write, vector)
        if write.kind in DOCUMENTS:
            self.documents.write(write)
        elif write.kind == TRAITS:
            self.shoppers.describe(write.id, write.content, seq)
            self.marks.add(write.id)
        return STILL

    def _write_item(self, write: Write, vector: np.ndarray) -> Moved:
        is_placed = bool(vector.any())
        item_idx = self.catalogue.write(write, is_placed)
        self.resize(len(self.catalogue))
        self.items.gone[item_idx] = not write.content
        if write.content:  # what is offered no longer still tells what its shoppers like
            self.items.facets.write(item_idx, json.loads(write.content))
        if is_placed:
            anchor = self.own_anchor()
            self.items.vectors[item_idx] += vector - anchor[item_idx]
            anchor[item_idx] = vector
        return Moved(np.array([item_idx]), np.array([np.inf], np.float32))

    @property
    def anchor(self) -> np.ndarray:
        """What events move item vectors away from, (n_items, d) float32."""
        return self.published.vectors

    def own_anchor(self) -> np.ndarray:
        """Return the anchor in memory of ours: until the first is written it is the bundle's own array."""
        self.published.vectors = self._rooms.resized("anchor", self.published.vectors, self.items.n_items)
        return self.anchor

    def resize(self, n_items: int) -> None:
        """Make room for so many items, the new ones without a vector and without events."""
        items, published, before = self.items, self.published, self.items.n_items
        owned: list[tuple[Any, tuple[str, ...]]] = [
            (items, ("vectors", "popularity", "recent", "repeat_rate", "gone")),
            (items.transitions, ("rows", "columns")),
            (items.facets, ("category", "brand", "price")),
            (items.opinions, ("total", "count")),
            (self, ("squares",)),
        ]
        if n_items != published.n_items:
            owned += [(published, ("vectors", "popularity", "recent")), (published.transitions, ("rows", "columns"))]
            owned += [(published.opinions, ("total", "count"))]
        for number, (owner, names) in enumerate(owned):
            for name in names:
                room = "anchor" if owner is published and name == "vectors" else f"{number}.{name}"
                setattr(owner, name, self._rooms.resized(room, getattr(owner, name), n_items))
        items.repeat_rate[before:] = self.usual_repeat_rate
        items.words = padded_rows(items.words, n_items)
        published.words, published.repeat_rate, published.gone = items.words, items.repeat_rate, items.gone
        published.facets = items.facets


def live_state(bundle: BundleState, shoppers: Shoppers, config: LearnerConfig) -> LiveState:
    """Return the state before the first event."""
    published = replace(bundle.state, vectors=np.ascontiguousarray(bundle.state.vectors, dtype=np.float32))
    published.transitions, published.opinions = replace(published.transitions), replace(published.opinions)
    n_items = published.n_items
    state = LiveState(
        bundle=bundle.manifest.version, config=config, catalogue=LiveCatalogue(bundle.items), documents=Documents(),
        published=published, shoppers=shoppers, squares=np.zeros(n_items, dtype=np.float32), items=published.copy(),
        usual_repeat_rate=float(np.median(published.repeat_rate)),
        figures=Figures(config.judged_window, config.guard_events),
    )  # fmt: skip
    state.resize(n_items)  # which copies what events move
    return state
