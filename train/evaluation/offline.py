"""The engine beside its baselines on held-out queries: one pass, one table."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from train.data.schema import Catalogue, Goal, Interactions, Queries
from train.evaluation.baselines import BASELINES, REPEATING
from train.evaluation.measure import measure_rows
from train.evaluation.outcome import Evaluation
from train.evaluation.summary import ENGINE, SEEN_KEPT, Table, summarise
from train.models.base import VectorModel
from train.models.calibration import Calibration
from train.models.candidates import Candidates, SourcesConfig
from train.models.features import FEATURES, features
from train.models.item_state import ItemState
from train.models.prospect import Prospect
from train.models.ranker import Ranker, RankingExamples
from train.models.shopper import history_of
from train.progress import OwnBar
from train.recommender import Lookup, lookups, ranked_lists


def evaluate(
    model: VectorModel, state: ItemState, sources: SourcesConfig, ranker: Ranker,
    history: Interactions, queries: Queries, keep_seen: bool, k: int = 10,
) -> Table:  # fmt: skip
    """Return the metrics of the engine, its parts, and the baselines every engine must beat."""
    return summarise(measure(model, state, sources, ranker, history, queries, keep_seen, k))


def measure(
    model: VectorModel, state: ItemState, sources: SourcesConfig, ranker: Ranker,
    history: Interactions, queries: Queries, keep_seen: bool, k: int = 10,
    catalogue: Catalogue | None = None, calibration: Calibration | None = None, processes: int = 1,
) -> Evaluation:  # fmt: skip
    """Return how the engine, its parts and the baselines did, query by query.

    Where seen items are left out, another row tells how the engine does with them. With a `catalogue`, variety is
    measured too; with a `calibration`, whether the engine's probabilities are right.
    """
    baselines = BASELINES | (REPEATING if keep_seen else {})

    def rank(lookup: Lookup, prospects: list[Prospect]) -> dict[str, list[Candidates]]:
        lists = {ENGINE: prospects} if keep_seen else {ENGINE: prospects, SEEN_KEPT: lookup.prospects(keep_seen=True)}
        ours = dict(zip(lists, ranked_lists(list(lists.values()), state, ranker), strict=True))
        return ours | {name: [row(one, state) for one in prospects] for name, row in baselines.items()}

    ask = partial(asked, model, state, sources, history)
    return measure_rows(rank, state, ask, queries, keep_seen, k, catalogue, calibration, processes)


def ranking_examples(
    model: VectorModel, state: ItemState, sources: SourcesConfig,
    history: Interactions, queries: Queries, keep_seen: bool,
) -> RankingExamples:  # fmt: skip
    """Return the candidates of every query with their features, and which of them were really chosen."""
    matrices, counts = [np.empty((0, len(FEATURES)), np.float32)], [0]
    relevant: list[np.ndarray] = [np.empty(0, bool)]
    reached: dict[Goal, list[np.ndarray]] = {goal: [np.empty(0, bool)] for goal in history.goals}
    with OwnBar(total=len(queries), desc="queries", unit="q") as bar:
        for lookup in asked(model, state, sources, history, queries):
            prospects = lookup.prospects(keep_seen)
            matrices.append(features(prospects, state))
            for query, prospect in enumerate(prospects, start=len(counts) - 1):
                found = prospect.candidates
                counts.append(len(found))
                relevant.append(found.among(queries.truth_of(query)))
                for goal, rows in reached.items():
                    rows.append(found.among(queries.reached(query, goal)))
            bar.update(len(prospects))
    return RankingExamples(
        features=np.concatenate(matrices), relevant=np.concatenate(relevant), offsets=np.cumsum(counts),
        reached={goal: np.concatenate(rows) for goal, rows in reached.items()},
    )  # fmt: skip


def asked(
    model: VectorModel, state: ItemState, sources: SourcesConfig, history: Interactions, queries: Queries
) -> Iterator[Lookup]:  # fmt: skip
    """Yield what each query's shopper is near to, in the order of the queries."""
    histories = [
        history_of(history, int(user_idx), int(cut))
        for user_idx, cut in zip(queries.user_idx, queries.cut, strict=True)
    ]
    return lookups(model, state, sources, histories)
