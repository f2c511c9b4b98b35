"""The engine beside its baselines on held-out queries: one pass, one table."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from train.data.schema import Catalogue, Goal, Interactions, Queries
from train.evaluation.baselines import BASELINES, REPEATING
from train.evaluation.measure import Row, measure_rows
from train.evaluation.outcome import Evaluation
from train.evaluation.summary import ENGINE, SEEN_KEPT, Table, summarise
from train.models.base import VectorModel
from train.models.calibration import Calibration
from train.models.candidates import SourcesConfig
from train.models.features import FEATURES
from train.models.item_state import ItemState
from train.models.ranker import Ranker, RankingExamples
from train.models.shopper import history_of
from train.progress import OwnBar
from train.recommender import Prospect, prospects


def evaluate(
    model: VectorModel, state: ItemState, sources: SourcesConfig, ranker: Ranker,
    history: Interactions, queries: Queries, keep_seen: bool, k: int = 10,
) -> Table:  # fmt: skip
    """Return the metrics of the engine, its parts, and the baselines every engine must beat."""
    return summarise(measure(model, state, sources, ranker, history, queries, keep_seen, k))


def measure(
    model: VectorModel, state: ItemState, sources: SourcesConfig, ranker: Ranker,
    history: Interactions, queries: Queries, keep_seen: bool, k: int = 10,
    catalogue: Catalogue | None = None, calibration: Calibration | None = None,
) -> Evaluation:  # fmt: skip
    """Return how the engine, its parts and the baselines did, query by query.

    Where seen items are left out, a second pass tells how the engine does with them. With a `catalogue`, variety is
    measured too; with a `calibration`, whether the engine's probabilities are right.
    """
    engine: dict[str, Row] = {ENGINE: lambda prospect, state: prospect.ranked(state, ranker)}
    rows = engine | BASELINES | (REPEATING if keep_seen else {})
    found = asked(model, state, sources, history, queries, keep_seen)
    evaluation = measure_rows(rows, state, found, queries, k, catalogue, calibration)
    if keep_seen:
        return evaluation
    again = asked(model, state, sources, history, queries, keep_seen=True)
    kept = measure_rows(engine, state, again, queries, k, catalogue).rows[ENGINE]
    return replace(evaluation, rows={ENGINE: evaluation.rows[ENGINE], SEEN_KEPT: kept} | evaluation.rows)


def ranking_examples(
    model: VectorModel, state: ItemState, sources: SourcesConfig,
    history: Interactions, queries: Queries, keep_seen: bool,
) -> RankingExamples:  # fmt: skip
    """Return the candidates of every query with their features, and which of them were really chosen."""
    matrices = [np.empty((0, len(FEATURES)), np.float32)]
    relevant: list[np.ndarray] = [np.empty(0, bool)]
    reached: dict[Goal, list[np.ndarray]] = {goal: [np.empty(0, bool)] for goal in history.goals}
    for query, prospect in asked(model, state, sources, history, queries, keep_seen):
        matrices.append(prospect.features(state))
        relevant.append(np.isin(prospect.candidates.item_idx, queries.truth_of(query)))
        for goal, rows in reached.items():
            rows.append(np.isin(prospect.candidates.item_idx, queries.reached(query, goal)))
    return RankingExamples(
        features=np.concatenate(matrices),
        relevant=np.concatenate(relevant),
        offsets=np.cumsum([len(matrix) for matrix in matrices]),
        reached={goal: np.concatenate(rows) for goal, rows in reached.items()},
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
