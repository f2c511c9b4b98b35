"""The approximate index: layers that are rebuilt beside the searches and swapped whole."""

import logging
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np

from cluster.errors import QualityError
from serve.stages.index.base import Base, build_base
from serve.stages.index.config import IndexConfig, Kind
from serve.stages.index.exact import FlatIndex, Shelf
from serve.stages.index.layered import Layered
from serve.state.moves import Moves

log = logging.getLogger(__name__)

TOO_MUCH = 5  # times `rebuild`: with so many items in the overlay, exact search costs no more


class ApproximateIndex:
    """Fresh to the last event; it belongs to the thread that writes the vectors, which also swaps.

    It searches exactly until the first base is built, and again where none can be built.
    """

    def __init__(
        self, shelf: Shelf, moves: Moves, queries: np.ndarray, kind: Kind, config: IndexConfig,
        builder: Executor | None = None,
    ) -> None:  # fmt: skip
        """Begin to build.

        moves: every write of the vectors, and which items came, went or returned; queries: (s, d) float32, some of
        those that will come; builder: runs one build at a time.
        """
        self._shelf, self._moves, self._place = shelf, moves, moves.place
        self._queries, self._config = queries, config
        self._kind: Kind = kind
        self._builder = builder or ThreadPoolExecutor(1, thread_name_prefix="index")
        self._exact = FlatIndex(shelf)
        self._layers: Layered | None = None
        self._build()

    @property
    def recall(self) -> float:
        """What was measured when the index in use was built; 1 while it is exact."""
        return 1.0 if self._layers is None else self._layers.base.recall

    @property
    def base(self) -> Base | None:
        """What is searched below the overlay, None while all is searched exactly."""
        return None if self._layers is None else self._layers.base

    def search(self, vector: np.ndarray, k: int, shown: np.ndarray | None = None) -> np.ndarray:
        """As Index.search; where few may be found, all of them are read."""
        self._catch_up()
        is_few = shown is not None and np.count_nonzero(shown) <= self._config.exact_below
        return (self._exact if is_few or self._layers is None else self._layers).search(vector, k, shown)

    def search_each(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """As Index.search_each."""
        self._catch_up()
        if self._layers is None:
            return self._exact.search_each(vectors, k)
        return np.stack([self._layers.search(vector, k) for vector in vectors])

    def _catch_up(self) -> None:
        """Take note of what moved, swap in what was built, and begin a build when one is due."""
        moved, self._place = self._moves.since(self._place), self._moves.place
        if self._building is not None:
            known = moved.item_idx < len(self._drift)
            np.add.at(self._drift, moved.item_idx[known], moved.distance[known])
        if self._layers is not None and len(moved.item_idx):
            self._layers.move(moved)
        if self._building is not None and self._building.done():
            self._swap(self._building)
        n_lifted, share = (0, 0.0) if self._layers is None else (len(self._layers.overlay), self._config.rebuild)
        n_items = len(self._shelf.vectors)
        if n_lifted > share * n_items and self._building is None:
            self._build()
        if n_lifted > TOO_MUCH * share * n_items:
            self._layers = None

    def _build(self) -> None:
        # What moves from here on counts as drift of the base to come, whether the builder read it before or after.
        vectors = self._shelf.vectors
        self._drift = np.zeros(len(vectors), dtype=np.float32)
        self._building: Future[Base] | None = self._builder.submit(
            build_base, vectors, self._queries, self._kind, self._config
        )

    def _swap(self, built: Future[Base]) -> None:
        self._building = None
        try:
            base = built.result()
        except (QualityError, RuntimeError, MemoryError) as error:  # FAISS raises RuntimeError
            log.warning("search is exact from now on, no index was built: %s", error)
            self._layers = None
            return
        self._layers = Layered(base, self._shelf, self._drift, self._config.drift)
