"""Items that move, an index that follows them, and the slow obvious search that it must equal."""

import numpy as np

from serve.stages.index.approximate import ApproximateIndex
from serve.stages.index.config import IndexConfig, Kind
from serve.state.moves import Moved, Moves
from tests.serve.index.later import Later

ALL_LISTS = 10**6
EXACT = {"nprobe": ALL_LISTS, "drift": 0.0, "rebuild": 0.1, "exact_below": 20}  # approximation has no excuse


class Moving:
    """n items in d dimensions; every write is noted, as the view notes it."""

    def __init__(self, n: int, d: int = 6, kind: Kind = "ivf", **settings: float) -> None:
        self.rng = np.random.default_rng(0)
        self.vectors = self.draw(n, d)
        self.moves, self.builder, self.gone = Moves(n), Later(), np.zeros(n, dtype=bool)
        config = IndexConfig.checked(EXACT | settings)
        self.index = ApproximateIndex(self, self.moves, self.draw(16, d), kind, config, self.builder)

    def draw(self, n: int, d: int) -> np.ndarray:
        return self.rng.normal(size=(n, d)).astype(np.float32)

    def move(self, item_idx: np.ndarray, far: float = 1.0) -> None:
        """Let items take a random step of about this length."""
        step = far * self.draw(len(item_idx), self.vectors.shape[1])
        self.vectors[item_idx] += step
        self.moves.note(Moved(item_idx, np.linalg.norm(step, axis=1)))

    def remove(self, item_idx: np.ndarray, gone: bool = True) -> None:
        """Offer items no longer, or again."""
        self.gone[item_idx] = gone
        self.moves.note(Moved(item_idx, np.full(len(item_idx), np.inf, np.float32)))

    def add(self, n: int) -> None:
        """Let n items come, in new memory."""
        first = len(self.vectors)
        self.vectors = np.concatenate((self.vectors, self.draw(n, self.vectors.shape[1])))
        self.gone = np.concatenate((self.gone, np.zeros(n, dtype=bool)))
        self.moves.note(Moved(np.arange(first, first + n), np.full(n, np.inf, np.float32)))

    def expected(self, vector: np.ndarray, k: int, shown: np.ndarray | None = None) -> list[int]:
        """Return what a full sort of what may be found finds, -1 beyond it."""
        left = ~self.gone if shown is None else shown & ~self.gone
        score = np.where(left, self.vectors @ vector, -np.inf)
        best = np.argsort(-score)[: min(k, np.count_nonzero(left))].tolist()
        return best + [-1] * (k - len(best))

    def check(self, *ks: int) -> None:
        """Compare searches of these lengths with the full sort."""
        for k in ks:
            vector = self.draw(1, self.vectors.shape[1])[0]
            assert self.index.search(vector, k).tolist() == self.expected(vector, k)
            shown = self.rng.random(len(self.vectors)) < self.rng.random()
            assert self.index.search(vector, k, shown).tolist() == self.expected(vector, k, shown)
