"""One pass over the queries: every row ranks the same candidates, and all that it says is kept."""

from collections.abc import Callable, Iterable

import numpy as np
from scipy.sparse import csr_matrix

from train.data.schema import Catalogue, Queries
from train.evaluation.metrics import ranked_truth
from train.evaluation.outcome import Evaluation, Shelf, outcome_of
from train.evaluation.promises import Promises
from train.evaluation.summary import ENGINE
from train.models.calibration import Calibration
from train.models.candidates import Candidates
from train.models.item_state import ItemState
from train.recommender import Prospect

Row = Callable[[Prospect, ItemState], Candidates]


def measure_rows(
    rows: dict[str, Row], state: ItemState, prospects: Iterable[tuple[int, Prospect]], queries: Queries, k: int,
    catalogue: Catalogue | None = None, calibration: Calibration | None = None,
) -> Evaluation:  # fmt: skip
    """Return how each way of ranking did; `prospects` yields each query's number and its shopper's candidates."""
    truths, lists = {name: [] for name in rows}, {name: [] for name in rows}
    promises, past = Promises(calibration), []
    for query, prospect in prospects:
        truth, seen = queries.truth_of(query), prospect.history.item_idx
        past.append(seen)
        for name, row in rows.items():
            ranked = row(prospect, state)
            truths[name].append(ranked_truth(ranked, truth, seen))
            lists[name].append(ranked.best(k).item_idx)
            if name == ENGINE and len(seen):  # strangers' scores are no ranker's
                promises.add(ranked, queries, query)
    shelf = Shelf(popularity=state.popularity, past=_counts(past, state.n_items), catalogue=catalogue)
    return Evaluation(
        k=k, queries=queries, popularity=state.popularity,
        rows={name: outcome_of(truths[name], lists[name], shelf, k) for name in rows},
        reliability=promises.reliability(),
    )  # fmt: skip


def _counts(lists: list[np.ndarray], n_items: int) -> csr_matrix:
    row = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    column = np.concatenate([np.empty(0, np.int64), *lists])
    return csr_matrix((np.ones(len(row)), (row, column)), shape=(len(lists), n_items))
