"""The engine beside its baselines on held-out queries: one pass, one table."""

from collections.abc import Callable, Iterable

import numpy as np

from train.data.schema import Interactions, Queries
from train.evaluation.metrics import RankedTruth, ranked_truth, summarise
from train.models.base import VectorModel
from train.models.candidates import Candidates, SourcesConfig
from train.models.features import FEATURES
from train.models.item_state import ItemState
from train.models.ranker import Ranker, RankingExamples
from train.models.shopper import history_of
from train.progress import OwnBar
from train.recommender import Prospect, prospects

Table = dict[str, dict[str, float]]  # row → metric → value
Row = Callable[[Prospect, ItemState], Candidates]

ENGINE = "liveshelf"


def evaluate(
    model: VectorModel, state: ItemState, sources: SourcesConfig, ranker: Ranker,
    history: Interactions, queries: Queries, keep_seen: bool, k: int = 10,
) -> Table:  # fmt: skip
    """Return the metrics of the engine, its parts, and the baselines every engine must beat.

    Where seen items are left out, a second pass tells how the engine does with them.
    """
    engine: dict[str, Row] = {ENGINE: lambda prospect, state: prospect.ranked(state, ranker)}
    if keep_seen:
        rows = engine | BASELINES | {"personal top": personal_top}
        return _measure(rows, state, asked(model, state, sources, history, queries, keep_seen=True), queries, k)
    table = _measure(
        engine | BASELINES, state, asked(model, state, sources, history, queries, keep_seen=False), queries, k
    )
    kept = _measure(engine, state, asked(model, state, sources, history, queries, keep_seen=True), queries, k)
    return {ENGINE: table[ENGINE], f"{ENGINE}, seen kept": kept[ENGINE]} | table


def _measure(
    rows: dict[str, Row], state: ItemState, prospects: Iterable[tuple[int, Prospect]], queries: Queries, k: int
) -> Table:
    truths: dict[str, list[RankedTruth]] = {name: [] for name in rows}
    shown = np.zeros(state.n_items, dtype=bool)
    for query, prospect in prospects:
        for name, row in rows.items():
            ranked = row(prospect, state)
            truths[name].append(ranked_truth(ranked, queries.truth_of(query), prospect.history.item_idx))
            if name == ENGINE:
                shown[ranked.best(k).item_idx] = True
    table = {name: summarise(of_row, k) for name, of_row in truths.items()}
    table[ENGINE][f"coverage@{k}"] = float(shown.mean())
    return table


def ranking_examples(
    model: VectorModel, state: ItemState, sources: SourcesConfig,
    history: Interactions, queries: Queries, keep_seen: bool,
) -> RankingExamples:  # fmt: skip
    """Return the candidates of every query with their features, and which of them were really chosen."""
    matrices, relevant = [np.empty((0, len(FEATURES)), np.float32)], [np.empty(0, bool)]
    for query, prospect in asked(model, state, sources, history, queries, keep_seen):
        matrices.append(prospect.features(state))
        relevant.append(np.isin(prospect.candidates.item_idx, queries.truth_of(query)))
    return RankingExamples(
        features=np.concatenate(matrices),
        relevant=np.concatenate(relevant),
        offsets=np.cumsum([len(matrix) for matrix in matrices]),
    )


def asked(
    model: VectorModel, state: ItemState, sources: SourcesConfig,
    history: Interactions, queries: Queries, keep_seen: bool,
) -> Iterable[tuple[int, Prospect]]:  # fmt: skip
    """Yield each query's number and its shopper's candidates, with a progress bar."""
    histories = [
        history_of(history, int(user_idx), int(cut))
        for user_idx, cut in zip(queries.user_idx, queries.cut, strict=True)
    ]
    found = prospects(model, state, sources, histories, keep_seen)
    return OwnBar(enumerate(found), total=len(queries), desc="queries", unit="q")


def sequence_only(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by ⟨h_u, h_i⟩ alone."""
    items = prospect.candidates.item_idx
    return prospect.candidates.scored(state.vectors[items] @ prospect.vector)


def sequential_rules(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by the transitions from the shopper's last items (Ludewig and Jannach, 2018, section 3.1)."""
    items, followers = prospect.candidates.item_idx, prospect.followers
    score = np.zeros(len(items))
    found = np.isin(items, followers.item_idx)
    score[found] = followers.score[np.searchsorted(followers.item_idx, items[found])]
    return prospect.candidates.scored(score)


def popularity(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by how often each item was chosen."""
    return prospect.candidates.scored(state.popularity[prospect.candidates.item_idx])


def personal_top(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by how often the shopper chose each item, then by popularity."""
    own, count = np.unique(prospect.history.item_idx, return_counts=True)
    items = np.union1d(own, prospect.candidates.item_idx)
    score = state.popularity[items] / (state.popularity.max() + 1)
    score[np.searchsorted(items, own)] += count
    return Candidates(item_idx=items, source=np.zeros(len(items), np.uint8), score=score)


BASELINES: dict[str, Row] = {
    "sequence model": sequence_only,
    "sequential rules": sequential_rules,
    "popularity": popularity,
}
