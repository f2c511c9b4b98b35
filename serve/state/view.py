"""The view: a replica's copy of the live state, from which requests are answered."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cluster.errors import OutOfStepError
from serve.state.catalogue import LiveCatalogue
from serve.state.documents import Documents
from serve.state.events import MicroBatch, Position, Row
from serve.state.figures import Figures
from serve.state.image import Image, restore_items
from serve.state.learner import apply
from serve.state.live import live_state
from serve.state.moves import Moved, Moves
from serve.state.shoppers import AllShoppers, CachedShoppers, Shopper
from train.bundle_state import BundleState
from train.models.item_state import ItemState


class Source(Protocol):
    """Where a view gets what it lacks: the store, or a handle to it."""

    async def changes(self, since: Position, timeout_s: float) -> list[MicroBatch]:
        """As Store.changes."""
        ...

    async def user(self, user_id: str, since: Position) -> Shopper:
        """As Store.user."""
        ...


class View:
    """Items as of `version` and the shoppers seen last; it belongs to one event loop."""

    def __init__(self, bundle: BundleState, image: Image, max_shoppers: int = 10_000) -> None:
        """Start from the store's image."""
        self._bundle, self._shoppers = bundle, CachedShoppers(max_shoppers)
        self._state = live_state(bundle, self._shoppers, image.config)
        self._asked: dict[str, asyncio.Task[Shopper]] = {}
        self._news = asyncio.Event()
        self.moves = Moves(self._state.items.n_items)
        self.load(image)

    @property
    def items(self) -> ItemState:
        """The live items, written in place: the object stays the same for the view's life, its arrays may grow."""
        return self._state.items

    @property
    def figures(self) -> Figures:
        """How well the live state and its shadows foresaw the events up to `version`."""
        return self._state.figures

    @property
    def published(self) -> ItemState:
        """The items as the bundle and the shop know them, which no event moves; the object stays the same."""
        return self._state.published

    @property
    def catalogue(self) -> LiveCatalogue:
        """Who the items are, and what the shop says of them; the object stays the same, too."""
        return self._state.catalogue

    @property
    def documents(self) -> Documents:
        """What the shop has written beside its items; the object stays the same, too."""
        return self._state.documents

    @property
    def version(self) -> int:
        """Seq of the last event that answers reflect."""
        return self._state.version

    @property
    def position(self) -> Position:
        """What the store is told of this view."""
        return Position(self._lineage, self.version)

    def load(self, image: Image) -> None:
        """Go to the store's image, in place, and forget the shoppers, who may lack events."""
        if image.bundle != self._state.bundle:
            raise OutOfStepError(
                f"the store serves bundle {image.bundle}, this view {self._state.bundle}; load {image.bundle} first"
            )
        before, gone = self.items.vectors.copy(), self.items.gone.copy()
        restore_items(self._state, image.arrays)
        self.moves.note(_changed(before, gone, self.items))
        self._shoppers.clear()
        self._unmarked = AllShoppers(self._bundle.histories, image.forgotten)
        self._lineage, self._state.version = image.position.lineage, image.position.version
        self._announce()

    def apply(self, batches: Sequence[MicroBatch]) -> None:
        """Carry the view over batches; those it has are passed over, a gap is an error."""
        for batch in batches:
            if batch.version <= self.version:
                continue
            if batch.first_seq != self.version + 1:
                raise OutOfStepError(
                    f"the view is at {self.version}, the batch begins at {batch.first_seq}; load the image"
                )
            if not batch.writes:
                for user_id in batch.user_ids:  # whoever does something for the first time will soon be asked about
                    self.user(user_id)
            self.moves.note(apply(self._state, batch))
        self._announce()

    async def follow(self, source: Source, timeout_s: float = 30) -> None:
        """Apply what the store reports, until cancelled or an error ends it."""
        while True:
            self.apply(await source.changes(self.position, timeout_s))

    async def wait_for(self, version: int, timeout_s: float) -> bool:
        """Tell whether the view reflects `version`, waiting up to `timeout_s` for it."""
        if self.version >= version:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                while self.version < version:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def user(self, user_id: str) -> Shopper | None:
        """Return a shopper, or None when the store must be asked: whom no event changed is the bundle's."""
        shopper = self._shoppers.get(user_id)
        if shopper is None and user_id not in self._state.marks:
            shopper = self._shoppers.keep(user_id, self._unmarked.published(user_id))
        return shopper

    async def fetch(self, user_id: str, source: Source) -> Shopper:
        """Return a shopper, from the store on a miss; however many wait for one, it is asked once.

        It is asked anew where a merge, a write or an erasure came in between: the answer may be from before it.
        """
        if (shopper := self.user(user_id)) is not None:
            return shopper
        if user_id not in self._asked or not self._shoppers.awaits(user_id):
            rows = self._shoppers.expect(user_id)
            self._asked[user_id] = asyncio.create_task(self._ask(user_id, source, rows))
        return await asyncio.shield(self._asked[user_id])

    async def _ask(self, user_id: str, source: Source, rows: list[Row]) -> Shopper:
        try:
            shopper = await source.user(user_id, self.position)
            return self._shoppers.put(user_id, shopper.described(self._bundle.traits), rows)
        finally:
            self._shoppers.give_up(user_id, rows)
            if self._asked.get(user_id) is asyncio.current_task():
                del self._asked[user_id]

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _changed(vectors: np.ndarray, gone: np.ndarray, items: ItemState) -> Moved:
    """Return how far items are from where they were; endlessly where they came, went or returned."""
    kept = min(len(vectors), items.n_items)
    distance = np.full(items.n_items, np.inf, np.float32)
    still = gone[:kept] == items.gone[:kept]
    distance[:kept][still] = np.linalg.norm(items.vectors[:kept] - vectors[:kept], axis=1)[still]
    return Moved(np.arange(items.n_items), distance)
