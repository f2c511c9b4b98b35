"""Hindsight: what a shopper would have been shown at a moment of the past, by the code that answers requests."""

import asyncio
from pathlib import Path
from typing import cast

import numpy as np

from cluster.errors import UnavailableError
from serve.backing import Store
from serve.engine import Engine
from serve.slates import Ask
from serve.stages.filters.catalogues import within
from serve.stages.filters.expression import Expression
from serve.stages.fused import fused
from serve.stages.index.exact import FlatIndex
from serve.state.events import MicroBatch, Position
from serve.state.follower import Follower
from serve.state.image import Image
from serve.state.live import LearnerConfig
from serve.state.replay import Replayed
from serve.state.shoppers import AllShoppers, Shopper
from serve.state.view import View
from train.bundle import read_bundle
from train.data.schema import PRODUCTS

ALWAYS_ASKED = 1.0  # judged share that lets the guard hold where it did; nothing is judged in the past


class Past:
    """The store of a moment that is over: it knows everybody, and nothing happens any more."""

    def __init__(self, shoppers: AllShoppers) -> None:
        self._shoppers = shoppers

    async def changes(self, since: Position, timeout_s: float) -> list[MicroBatch]:
        """Return nothing."""
        return []

    async def image(self) -> Image:
        """Raise: a view of the past is made once."""
        raise UnavailableError("the past does not change")

    async def user(self, user_id: str, since: Position) -> Shopper:
        """Return a shopper as of that moment."""
        return self._shoppers.get(user_id)


def slate_then(bundle_folder: Path, replayed: Replayed, learner: LearnerConfig, user_id: str, count: int) -> list[str]:
    """Return the ids of a shopper's slate in a replayed state, best first."""
    bundle = read_bundle(bundle_folder)
    header, past = replayed.snapshot.header, Past(replayed.shoppers)
    position = Position(header.lineage, header.version)
    arrays, forgotten = replayed.snapshot.arrays, replayed.shoppers.forgotten
    view = View(bundle, Image(position, bundle.manifest.version, learner, arrays, forgotten))

    stages = fused(bundle, view, FlatIndex(view.items))
    engine = Engine(bundle, Follower(view, past), cast(Store, past), stages, ALWAYS_ASKED)
    slate = asyncio.run(engine.recommend(_ask(user_id, count, within(PRODUCTS, view.catalogue.membership))))
    return [engine.item_ids[item_idx] for item_idx in slate.candidates.item_idx.tolist()]


def _ask(user_id: str, count: int, filter: Expression | None) -> Ask:
    nothing = np.empty(0, np.int64)
    return Ask(user_id=user_id, count=count, context=nothing, excluded=nothing, min_version=0, filter=filter)
