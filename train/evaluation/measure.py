"""One pass over the queries: every row ranks the same candidates, and all that it says is kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, vstack

from train.data.schema import Catalogue, Goal, Queries
from train.evaluation.lists import ScoredLists
from train.evaluation.metrics import RankedTruths
from train.evaluation.outcome import Evaluation, Outcome, Shelf, outcome_of
from train.evaluation.promises import Promises, joined, promises
from train.evaluation.summary import ENGINE
from train.forked import in_order
from train.models.calibration import Calibration
from train.models.candidates import Candidates
from train.models.item_state import ItemState
from train.models.prospect import Prospect
from train.progress import OwnBar
from train.recommender import ENCODED, Lookup

Row = Callable[[Prospect, ItemState], Candidates]  # ranks one shopper's candidates
Lists = Callable[[Lookup, list[Prospect]], list[Candidates]]  # ranks those of a few shoppers, or finds others for them
Rank = Callable[[Lookup, list[Prospect]], dict[str, list[Candidates]]]  # row → its lists, the engine's first
Ask = Callable[[Queries], Iterator[Lookup]]  # finds what the queries' shoppers are near to, in the order of the queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What rows said to some queries, and what came of it."""

    ranks: dict[str, np.ndarray]  # row → (t,) where each true item came
    best: dict[str, np.ndarray]  # row → (q, k) item_idx
    promises: dict[Goal, Promises]  # the engine's; none about strangers, whose scores are no ranker's
    past: csr_matrix  # (q, n_items), how often each shopper had each item before

    @classmethod
    def joined(cls, parts: Sequence["Answers"]) -> "Answers":
        """Return the answers to several lots of queries, at least one, as those to one."""
        first, *_ = parts
        return cls(
            ranks={name: np.concatenate([part.ranks[name] for part in parts]) for name in first.ranks},
            best={name: np.concatenate([part.best[name] for part in parts]) for name in first.best},
            promises=joined([part.promises for part in parts]),
            past=csr_matrix(vstack([part.past for part in parts])),
        )


def each(row: Row, state: ItemState) -> Lists:
    """Return a way of ranking that takes one shopper after the other."""
    return lambda _, prospects: [row(prospect, state) for prospect in prospects]


def all_of(rows: dict[str, Lists]) -> Rank:
    """Return what the rows say, each asked by itself."""
    return lambda lookup, prospects: {name: row(lookup, prospects) for name, row in rows.items()}


def measure_rows(
    rank: Rank, state: ItemState, ask: Ask, queries: Queries, keep_seen: bool, k: int,
    catalogue: Catalogue | None = None, calibration: Calibration | None = None, processes: int = 1,
) -> Evaluation:  # fmt: skip
    """Return how each way of ranking did, the same to the bit by any number of processes."""

    def answer(lot: Queries) -> Answers:
        asked, begun = [], 0
        for lookup in ask(lot):
            some = lot.take(np.arange(begun, begun := begun + len(lookup.histories)))
            asked.append(_answers(rank, lookup, some, keep_seen, k, calibration, state.n_items))
        return Answers.joined(asked)

    starts = range(0, len(queries), ENCODED)
    lots = [queries.take(np.arange(start, min(start + ENCODED, len(queries)))) for start in starts]
    answered = []
    with OwnBar(total=len(queries), desc="queries", unit="q") as bar:
        for one in in_order(answer, lots, processes):
            answered.append(one)
            bar.update(one.past.shape[0])
    found = Answers.joined(answered)
    shelf = Shelf(popularity=state.popularity, past=found.past, catalogue=catalogue)

    def outcome(name: str) -> Outcome:
        return outcome_of(_truths(found.ranks[name], found.past, queries), found.best[name], shelf, k)

    outcomes = in_order(outcome, list(found.ranks), processes)
    return Evaluation(
        k=k, queries=queries, popularity=state.popularity, rows=dict(zip(found.ranks, outcomes, strict=True)),
        reliability={goal: one.reliability for goal, one in found.promises.items() if len(one.came)},
    )  # fmt: skip


def _answers(
    rank: Rank, lookup: Lookup, queries: Queries, keep_seen: bool, k: int, calibration: Calibration | None, n_items: int
) -> Answers:  # fmt: skip
    """Return what the rows say to the queries of one lookup."""
    ranked = rank(lookup, lookup.prospects(keep_seen))
    lists = {name: ScoredLists.of(of_row) for name, of_row in ranked.items()}
    promised = {}
    if calibration is not None:
        known = np.flatnonzero([len(history) > 0 for history in lookup.histories])
        promised = promises(calibration, [ranked[ENGINE][query] for query in known], queries.take(known))
    past = _counts([history.item_idx for history in lookup.histories], n_items)
    return Answers(
        ranks={name: of_row.ranks(queries.query, queries.truth) for name, of_row in lists.items()},
        best={name: of_row.best(k) for name, of_row in lists.items()}, promises=promised, past=past,
    )  # fmt: skip


def _truths(rank: np.ndarray, had: csr_matrix, queries: Queries) -> RankedTruths:
    repeated = np.asarray(had[queries.query, queries.truth]).ravel() > 0
    return RankedTruths(rank=rank, repeated=repeated, offsets=queries.truth_offsets)


def _counts(lists: list[np.ndarray], n_items: int) -> csr_matrix:
    row = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    return csr_matrix((np.ones(len(row)), (row, np.concatenate(lists))), shape=(len(lists), n_items))
