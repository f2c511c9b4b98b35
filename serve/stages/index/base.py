"""The base: a FAISS index of the item vectors as they were, which proposes items; their scores are taken elsewhere."""

import logging
import time
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import faiss
import numpy as np

from cluster.errors import QualityError
from serve.stages.index.card import LARGEST_K, n_cards, on_card
from serve.stages.index.config import IndexConfig, Kind
from serve.stages.index.exact import nearest
from serve.stages.index.lists import trained
from serve.stages.index.mask import Mask

log = logging.getLogger(__name__)

SHORTLIST: dict[Kind, int] = {"card": 2, "ivf": 2, "ivfpq": 16}  # proposals for each item wanted
WIDENED = 0.25  # negative power of the share that is shown: the best of fewer items lie in more lists
SHORTEST = 100  # proposals for however few


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A trained index that nobody changes, and how good its lists are."""

    kind: Kind
    index: Any  # faiss.Index
    on_card: bool
    n_lists: int  # 1: not divided
    nprobe: int  # lists that a search reads
    scale: float  # root mean square length of the vectors
    recall: float = 0.0  # share of the exact lists, measured when it was built

    def propose(self, vector: np.ndarray, k: int, mask: Mask) -> np.ndarray:
        """Return item_idx, in no order, that most likely hold the best k of those that the mask shows."""
        if self.on_card:  # where FAISS knows no selectors
            found = self._search(vector[None], k + mask.n_hidden)[0]
            found = found[found >= 0]
            return found[~mask.hidden[found]]
        found = self._search(vector[None], k, mask)[0]
        return found[found >= 0]

    def best(self, queries: np.ndarray, k: int, vectors: np.ndarray) -> np.ndarray:
        """Return item_idx (s, k) for queries (s, d): proposals in the order of their scores by vectors (n_items, d)."""
        found = self._search(queries, k)
        score = np.einsum("sd,smd->sm", queries, vectors[found])
        score[found < 0] = -np.inf
        return np.take_along_axis(found, np.argsort(-score, axis=1)[:, :k], axis=1)

    def _search(self, queries: np.ndarray, k: int, mask: Mask | None = None) -> np.ndarray:
        """Return a shortlist (s, m) of item_idx for the best k, -1 where the lists read held fewer."""
        width = max(SHORTEST, SHORTLIST[self.kind] * k)
        if not self.on_card:
            nprobe = min(self.n_lists, ceil(self.nprobe * (mask.shown_share**-WIDENED if mask else 1)))
            chosen = faiss.SearchParametersIVF(nprobe=nprobe, sel=mask.selector if mask else None)  # pyright: ignore[reportCallIssue]
            return self.index.search(queries, width, params=chosen)[1]
        if self.n_lists > 1:
            self.index.nprobe = self.nprobe
        return self.index.search(queries, min(width, LARGEST_K))[1]


def build_base(vectors: np.ndarray, queries: np.ndarray, kind: Kind, config: IndexConfig) -> Base:
    """Return an index of vectors (n_items, d) that reaches `config.recall` for queries (s, d) like those to come.

    It may run in a thread beside the one that writes the vectors: a row that is read while it is written lies no
    further from the new one than the old one does, so the steps since the build began still tell how far off it is.
    Raises QualityError when half of the lists do not hold enough: exact search would cost no more.
    """
    began = time.perf_counter()
    faiss.omp_set_num_threads(1)  # OpenMP counts threads for each thread apart
    index, n_lists = trained(vectors, kind)
    base = Base(
        kind=kind, index=on_card(index) if n_cards() else index, on_card=n_cards() > 0, n_lists=n_lists,
        nprobe=min(config.nprobe, n_lists) or (n_lists + 1) // 2,
        scale=float(np.sqrt(np.einsum("id,id->", vectors, vectors) / len(vectors))),
    )  # fmt: skip
    base = _measured(base, vectors, queries, config)
    log.info(
        "built index kind=%s items=%d lists=%d nprobe=%d recall@%d=%.4f seconds=%.1f card=%s", kind, len(vectors),
        n_lists, base.nprobe, config.recall_at, base.recall, time.perf_counter() - began, base.on_card,
    )  # fmt: skip
    return base


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Return the mean share of each exact list (s, k) that was found (s, m)."""
    return float(np.mean([np.isin(wanted, got).mean() for got, wanted in zip(found, exact, strict=True)]))


def _measured(base: Base, vectors: np.ndarray, queries: np.ndarray, config: IndexConfig) -> Base:
    """Return the base with its recall, and with the fewest lists to read that reach the wanted one."""
    k = min(config.recall_at, len(vectors))
    exact = nearest(queries, vectors, k)

    def reading(nprobe: int) -> Base:
        tried = replace(base, nprobe=nprobe)
        return replace(tried, recall=recall(tried.best(queries, k, vectors), exact))

    enough, too_few = reading(base.nprobe), 0
    if config.nprobe:
        return enough
    if enough.recall < config.recall:
        raise QualityError(
            f"recall@{k} is {enough.recall:.3f} with {enough.nprobe} of {base.n_lists} lists read, "
            f"not {config.recall}; take index.kind=flat, or a lower index.recall"
        )
    while enough.nprobe - too_few > 1:
        tried = reading((too_few + enough.nprobe) // 2)
        if tried.recall < config.recall:
            too_few = tried.nprobe
        else:
            enough = tried
    return enough
