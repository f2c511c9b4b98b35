"""The assortment: what the shop says goes to the store, of items with the vector that this gives them."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import pandas as pd

from cluster.errors import LiveshelfError
from serve.state.catalogue import LiveCatalogue, etag
from serve.state.events import ITEM, Ack, Position, Write
from serve.state.store import AppendResult
from serve.state.view import View
from serve.state.writing import WriteRequest
from train.bundle import Bundle
from train.data.steps.catalogue import plain_items
from train.encoders.features import Features
from train.encoders.items import ItemFeatures

log = logging.getLogger(__name__)

LOOK_S = 5.0  # between looks for items without a vector
PLACED_AT_ONCE = 100  # items


class Writable(Protocol):
    """The store as the assortment calls it."""

    async def write(self, requests: Sequence[WriteRequest], vectors: np.ndarray, since: Position) -> AppendResult:
        """As serve.state.store.Store.write."""
        ...


class Assortment:
    """A replica's hand on the catalogue and on documents; the view shows a write when the call returns."""

    def __init__(self, bundle: Bundle, view: View, store: Writable) -> None:
        self._bundle, self._view, self._store = bundle, view, store
        self._tried: dict[int, str] = {}  # item_idx → the content that was written again to place it

    @property
    def catalogue(self) -> LiveCatalogue:
        """Who the items are now."""
        return self._view.catalogue

    async def write(self, requests: Sequence[WriteRequest]) -> list[Ack]:
        """Return when each write is durable and shown here, or refused."""
        writes = [request.write for request in requests]
        vectors = await asyncio.to_thread(describe, self._bundle, self.catalogue, writes)  # encoders take their time
        result = await self._store.write(requests, vectors, self._view.position)
        self._view.apply(result.batches)
        return result.acks

    async def keep_placed(self) -> None:
        """Give vectors to items that were written under another bundle, until cancelled.

        Every replica does so, and the store takes the first one's: the ids of their writes are the same.
        """
        while self._bundle.features is not None:
            try:
                while await self.place():
                    pass
            except LiveshelfError as error:  # an encoder's package may be missing, or the store away
                log.warning("items not placed error=%s", error)
            await asyncio.sleep(LOOK_S)

    async def place(self) -> int:
        """Give vectors to some of the items that lack one; return how many were tried, 0 when all were."""
        lacking = {
            item_idx: content for item_idx in sorted(self.catalogue.unplaced)
            if self._tried.get(item_idx) != (content := self.catalogue.content(item_idx))
        }  # fmt: skip
        some = dict(islice(lacking.items(), PLACED_AT_ONCE))
        if some:
            await self.write([self._again(*one) for one in some.items()])
            self._tried |= some
        return len(some)

    def _again(self, item_idx: int, content: str) -> WriteRequest:
        """Return the write of what an item says already."""
        item_id = self.catalogue.item_ids[item_idx]
        name = hashlib.sha256(json.dumps([self._bundle.manifest.version, item_id, content]).encode()).hexdigest()
        return WriteRequest(f"{ITEM}-{name}", Write(ITEM, item_id, content), etag(content))


def describe(bundle: Bundle, catalogue: LiveCatalogue, writes: Sequence[Write]) -> np.ndarray:
    """Return h_i of written items, (n, d) float32; zeros of documents and where contents say not where they belong.

    An item that training saw goes from its trained vector as far as the change of its content moves it; any other one
    gets the vector of its content.
    """
    vectors = np.zeros((len(writes), bundle.state.vectors.shape[1]), np.float32)
    offered = [position for position, write in enumerate(writes) if write.kind == ITEM and write.content]
    known = [position for position in offered if _idx(catalogue, writes[position]) is not None]
    later = [position for position in offered if _idx(catalogue, writes[position]) is None]
    if (features := bundle.features) is None:
        return vectors
    if later:
        vectors[later] = bundle.model.content_vectors(_features(features, [writes[one].content for one in later]))
    if known:
        item_idx = np.array([_idx(catalogue, writes[one]) for one in known])
        before = _features(features, [catalogue.published(one) for one in item_idx.tolist()])
        after = _features(features, [writes[one].content for one in known])
        steps = bundle.model.content_steps(item_idx, before, after)
        vectors[known] = bundle.state.vectors[item_idx] + steps
    return vectors


def query_vector(bundle: Bundle, text: str) -> np.ndarray:
    """Return where an item of this title would lie, (d,) float32; zeros where texts say nothing of that."""
    if bundle.features is None or not bundle.features.encoders:
        return np.zeros(bundle.state.vectors.shape[1], np.float32)
    return bundle.model.content_vectors(_features(bundle.features, [json.dumps({"title": text})]))[0]


def _idx(catalogue: LiveCatalogue, write: Write) -> int | None:
    """Return the item_idx of one of the bundle's items."""
    item_idx = catalogue.index.get(write.id)
    return item_idx if item_idx is not None and item_idx < catalogue.n_published else None


def _features(features: ItemFeatures, contents: Sequence[str]) -> Features:
    return features.of(plain_items(pd.DataFrame([json.loads(content) for content in contents])))
