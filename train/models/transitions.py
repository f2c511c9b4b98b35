"""Item-to-item transition counts: sequential rules that a batch fits and a live event extends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from cluster.config import Config
from train.data.schema import NO_ITEM, Interactions
from train.models.growing import GrowingMatrix
from train.models.ragged import ITEM_MASK, add_up, offsets_of, pairs, places

CHUNK = 2**20  # entries ordered at once
BLOCK = 2**14  # items whose links are added up at once


class TransitionsConfig(Config):
    """How counts are made from histories and read back as scores."""

    window: int = Field(default=10, ge=1, le=50, description="an item is linked to this many items before it")
    decay: float = Field(default=0.8, gt=0, le=1, description="weight lost per step of distance")
    backward: float = Field(
        default=0.5, ge=0, le=1, description="weight of the link from the later item to the earlier"
    )
    row_power: float = Field(default=0.5, ge=0, le=1, description="how far an item's many links are divided out")
    column_power: float = Field(default=0.25, ge=0, le=1, description="how far the target's popularity is divided out")
    history_decay: float = Field(
        default=0.6, gt=0, le=1, description="weight lost per step back in the shopper's history"
    )
    memory: int = Field(default=100, ge=1, le=1_000, description="newest items of a history whose links `shares` reads")
    memory_decay: float = Field(default=0.97, gt=0, le=1, description="weight that `shares` loses per step back")
    max_neighbours: int = Field(default=100, ge=1, description="strongest links kept per item by a batch")


class Followers(NamedTuple):
    """Items that tend to come after a history, ordered by item_idx."""

    item_idx: np.ndarray  # (m,) int64, distinct, ascending
    score: np.ndarray  # (m,) float64, > 0

    def among(self, shown: np.ndarray) -> "Followers":
        """Return those of the items that shown (n_items,) bool names."""
        kept = shown[self.item_idx]
        return Followers(self.item_idx[kept], self.score[kept])


@dataclass(slots=True, kw_only=True)
class Transitions:
    """Counts of "j soon after i": a compressed base from the bundle and the links that live events added.

    The score of j for a history is Σ_k history_decay^k · C[i_k, j] / (rows[i_k]^row_power · columns[j]^column_power),
    i_0 the newest item; sequential rules of Ludewig and Jannach (2018, section 3.1) with both normalisations learned
    as powers. Adding is a plain sum in the order of events, so a replay gives the same bits.
    """

    config: TransitionsConfig
    base: csr_matrix  # (n_base, n_base) float32
    rows: np.ndarray  # (n_items,) float64, all that ever left i, pruned links included
    columns: np.ndarray  # (n_items,) float64, all that ever arrived at j
    added: GrowingMatrix = field(init=False)
    _slots: np.ndarray = field(init=False, repr=False)  # (n_items or more,) int32, all 0 between calls

    def __post_init__(self) -> None:
        """Begin without live links."""
        self.added, self._slots = GrowingMatrix(self.config.max_neighbours), np.zeros(0, np.int32)

    def add(self, previous: np.ndarray, item_idx: np.ndarray, share: np.ndarray) -> None:
        """Count events, or shares of them, to the same bits as one after the other.

        previous: (n, window) the shoppers' items before them, newest first, or NO_ITEM; item_idx, share: (n,).
        """
        known = previous != NO_ITEM
        age, event = np.cumsum(known, axis=1)[known] - 1, np.nonzero(known)[0]
        fading = np.cumprod(np.column_stack((share, np.full(previous.shape, self.config.decay))), axis=1)
        older, newer, weight = previous[known], item_idx[event], fading[event, age]
        self._link(
            np.column_stack((older, newer)).ravel(), np.column_stack((newer, older)).ravel(),
            np.column_stack((weight, weight * self.config.backward)).ravel(),
        )  # fmt: skip

    def followers(self, history: np.ndarray) -> Followers:
        """Return the items that tend to come after a history of item_idx, oldest first."""
        return self.followers_of([history])[0]

    def followers_of(self, histories: Sequence[np.ndarray]) -> list[Followers]:
        """Return the followers of each history, the same as if it were asked about alone."""
        newest = [history[: -self.config.window - 1 : -1] for history in histories]
        owner, age = places(np.array([len(items) for items in newest], dtype=np.int64))
        source = np.concatenate([np.empty(0, np.int64), *newest])
        weight = np.cumprod(np.r_[1.0, np.full(self.config.window, self.config.history_decay)])[age]
        weight /= np.maximum(self.rows[source], 1e-9) ** self.config.row_power
        link, item_idx, count = self._links(source)
        pair, total = add_up(pairs(owner[link], item_idx), count * weight[link])
        distinct = pair & ITEM_MASK
        score = total / np.maximum(self.columns[distinct], 1e-9) ** self.config.column_power
        spans = pairwise(offsets_of(pair, len(newest)))
        return [Followers(distinct[start:end], score[start:end]) for start, end in spans]

    def origins(self, history: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return what each of a history's newest items, the newest first, adds to the score of `followers`, (m, n).

        asked: (n,) distinct item_idx.
        """
        source = history[: -self.config.window - 1 : -1]
        weight = self.config.history_decay ** np.arange(len(source))
        weight /= np.maximum(self.rows[source], 1e-9) ** self.config.row_power
        link, item_idx, count = self._links(source)
        slots, added = self._slots_of(asked), np.zeros((len(source), len(asked) + 1))
        np.add.at(added, (link, slots.take(item_idx)), count * weight[link])
        slots[asked] = 0
        return added[:, 1:] / np.maximum(self.columns[asked], 1e-9) ** self.config.column_power

    def shares(self, history: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return each asked item's share (n,) float64 of all that a history of item_idx, oldest first, leads to.

        asked: (n,) distinct item_idx. Scores are those of `followers`, to single precision, with a longer memory: the
        last items hardly say what else a shopper likes.
        """
        source = history[: -self.config.memory - 1 : -1]
        weight = np.cumprod(np.r_[1.0, np.full(self.config.memory, self.config.memory_decay)])[: len(source)]
        weight /= np.maximum(self.rows[source], 1e-9) ** self.config.row_power
        link, item_idx, count = self._links(source)
        if not len(link):
            return np.zeros(len(asked))
        column = np.maximum(self.columns.take(item_idx), 1e-9).astype(np.float32)
        score = count * weight[link] * np.exp(np.float32(-self.config.column_power) * np.log(column))
        # A long memory has ten thousand links: neither sorting them nor an array of all items would be cheap.
        slots = self._slots_of(asked)
        found = np.bincount(slots.take(item_idx), score, minlength=len(asked) + 1)[1:]
        slots[asked] = 0
        return found / max(score.sum(), 1e-300)

    def _slots_of(self, asked: np.ndarray) -> np.ndarray:
        """Return where each item stands among the asked, from 1 on, 0 for any other; to be set back to 0."""
        if len(self._slots) < len(self.columns):
            self._slots = np.zeros(len(self.columns) + len(self.columns) // 8, dtype=np.int32)
        self._slots[asked] = np.arange(1, len(asked) + 1)
        return self._slots

    def _links(self, source: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all links that leave `source` (m,): its position, the item linked to, and the count; items repeat."""
        indptr = self.base.indptr
        known = np.minimum(source, len(indptr) - 2)
        link, age = places(np.where(source == known, indptr[known + 1] - indptr[known], 0))
        at = indptr[known[link]] + age
        item_idx, count = self.base.indices[at].astype(np.int64), self.base.data[at].astype(np.float64)
        live, live_idx, live_count = self.added.entries_of(source)
        if not len(live):
            return link, item_idx, count
        return np.append(link, live), np.append(item_idx, live_idx), np.append(count, live_count)

    def _link(self, source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> None:
        source, target, weight = (column[weight != 0] for column in (source, target, weight))
        np.add.at(self.rows, source, weight)
        np.add.at(self.columns, target, weight)
        self.added.add(source, target, weight)


def fit_transitions(interactions: Interactions, n_items: int, config: TransitionsConfig) -> Transitions:
    """Count every pair of a user's items at most `window` apart."""
    return both_ways(_counted(interactions, n_items, config), config)


def both_ways(counts: csr_matrix, config: TransitionsConfig, block: int = BLOCK) -> Transitions:
    """Return the transitions of links from earlier items to later ones, (n_items, n_items), with those that lead back.

    Both are added up for `block` items at a time: the sum of all would be twice as large as `counts`.
    """
    back, k = csr_matrix(counts.T), config.max_neighbours
    n_items, most = len(counts.indptr) - 1, np.minimum(np.diff(counts.indptr) + np.diff(back.indptr), k)
    rows, columns = np.zeros(n_items), np.zeros(n_items)
    # Filled from the front: what is left over is never touched, and so takes no memory.
    data, indices = np.empty(most.sum(), dtype=np.float32), np.empty(most.sum(), dtype=counts.indices.dtype)
    offsets = np.zeros(n_items + 1, dtype=np.int64)
    for start in range(0, n_items, block):
        some = slice(start, start + block)
        both = csr_matrix(counts[some] + config.backward * back[some])
        rows[some] = np.asarray(both.sum(axis=1)).ravel()
        np.add.at(columns, both.indices, both.data)  # one link after the other, as a sum over the whole would be
        best = strongest(both, k)
        offsets[start + 1 : start + block + 1] = offsets[start] + best.indptr[1:]
        filled = slice(offsets[start], offsets[start] + best.nnz)
        data[filled], indices[filled] = best.data, best.indices
    base = csr_matrix((data[: offsets[-1]], indices[: offsets[-1]], offsets), shape=counts.get_shape())
    return Transitions(config=config, base=base, rows=rows, columns=columns)


def _counted(interactions: Interactions, n_items: int, config: TransitionsConfig) -> csr_matrix:
    """Return how often each item came at most `window` before each other, (n_items, n_items) float64."""
    counts = csr_matrix((n_items, n_items), dtype=np.float64)
    user_idx, item_idx = interactions.user_idx, interactions.item_idx
    weight = 1.0
    for distance in range(1, config.window + 1):
        same_user = user_idx[distance:] == user_idx[:-distance]
        pair = (item_idx[:-distance][same_user], item_idx[distance:][same_user])
        counts = counts + csr_matrix((np.full(len(pair[0]), weight), pair), shape=counts.shape)
        weight *= config.decay
    return counts


def strongest(counts: csr_matrix, k: int) -> csr_matrix:
    """Return the k largest entries of every row as float32, ties broken by the smaller column; orders `counts`."""
    counts.sort_indices()
    lengths = np.diff(counts.indptr)
    kept = np.ones(counts.nnz, dtype=bool)
    long = np.flatnonzero(lengths > k)
    for rows in np.array_split(long, 1 + int(lengths[long].sum()) // CHUNK):
        row, place = places(lengths[rows])
        at = counts.indptr[rows][row] + place
        order = np.lexsort((place, -counts.data[at], row))
        kept[at[order[place >= k]]] = False  # `place` is also the rank of what stands there once it is ordered
    offsets = np.concatenate(([0], np.cumsum(np.minimum(lengths, k))))
    return csr_matrix((counts.data[kept].astype(np.float32), counts.indices[kept], offsets), shape=counts.shape)
