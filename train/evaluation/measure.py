"""One pass over the queries: every row ranks the same candidates, and all that it says is kept."""

from collections.abc import Callable, Iterable

import numpy as np
from scipy.sparse import csr_matrix

from train.data.schema import Catalogue, Queries
from train.evaluation.metrics import RankedTruths, ranks_of
from train.evaluation.outcome import Evaluation, Shelf, outcome_of
from train.evaluation.promises import Promises
from train.evaluation.summary import ENGINE
from train.models.calibration import Calibration
from train.models.candidates import Candidates
from train.models.item_state import ItemState
from train.models.prospect import Prospect
from train.recommender import Lookup

Row = Callable[[Prospect, ItemState], Candidates]  # ranks one shopper's candidates
Lists = Callable[[Lookup, list[Prospect]], list[Candidates]]  # ranks those of a few shoppers, or finds others for them


def each(row: Row, state: ItemState) -> Lists:
    """Return a way of ranking that takes one shopper after the other."""
    return lambda _, prospects: [row(prospect, state) for prospect in prospects]


def measure_rows(
    rows: dict[str, Lists], state: ItemState, lookups: Iterable[Lookup], queries: Queries, keep_seen: bool, k: int,
    catalogue: Catalogue | None = None, calibration: Calibration | None = None,
) -> Evaluation:  # fmt: skip
    """Return how each way of ranking did; `lookups` hold the queries' shoppers in the order of the queries."""
    ranks, lists = {name: [] for name in rows}, {name: [] for name in rows}
    promises, past = Promises(calibration), []
    for lookup in lookups:
        asked = range(len(past), len(past) + len(lookup.histories))
        truth = [queries.truth_of(query) for query in asked]
        seen = [history.item_idx for history in lookup.histories]
        past += seen
        prospects = lookup.prospects(keep_seen)
        for name, row in rows.items():
            ranked = row(lookup, prospects)
            ranks[name] += map(ranks_of, truth, ranked)
            lists[name] += [one.best(k).item_idx for one in ranked]
            if name == ENGINE:
                for query, one, items in zip(asked, ranked, seen, strict=True):
                    if len(items):  # strangers' scores are no ranker's
                        promises.add(one, queries, query)
    had = _counts(past, state.n_items)
    shelf = Shelf(popularity=state.popularity, past=had, catalogue=catalogue)
    return Evaluation(
        k=k, queries=queries, popularity=state.popularity,
        rows={name: outcome_of(_truths(ranks[name], had, queries), lists[name], shelf, k) for name in rows},
        reliability=promises.reliability(),
    )  # fmt: skip


def _truths(ranks: list[np.ndarray], had: csr_matrix, queries: Queries) -> RankedTruths:
    query = np.repeat(np.arange(len(queries)), np.diff(queries.truth_offsets))
    repeated = np.asarray(had[query, queries.truth]).ravel() > 0
    rank = np.concatenate([np.empty(0), *ranks])
    return RankedTruths(rank=rank, repeated=repeated, offsets=queries.truth_offsets)


def _counts(lists: list[np.ndarray], n_items: int) -> csr_matrix:
    row = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    column = np.concatenate([np.empty(0, np.int64), *lists])
    return csr_matrix((np.ones(len(row)), (row, column)), shape=(len(lists), n_items))
