"""The same held-out queries, asked of a bundle before and after each step."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from train.batch import in_vocabulary
from train.bundle import Bundle
from train.config import EvaluateRun
from train.data.prepared import Prepared
from train.data.schema import Interactions, Queries
from train.data.split import SplitConfig, make_split
from train.evaluation.measure import measure_rows
from train.evaluation.offline import asked
from train.evaluation.outcome import Evaluation, Outcome
from train.evaluation.summary import ENGINE, ReportConfig, Table, summarise
from train.models.candidates import Candidates
from train.models.item_state import ItemState, recounted
from train.models.prospect import Prospect
from train.pipeline import sampled
from train.recommender import Lookup, ranked

BATCH, ROUNDS = 32, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Queries, and what may be read to answer them."""

    history: Interactions
    train: Interactions  # rows that no query asks for
    queries: Queries
    keep_seen: bool
    k: int
    processes: int  # that ask
    state: ItemState  # what may be counted; each bundle has vectors of its own

    @classmethod
    def of(cls, bundle: Bundle, prepared: Prepared, holdout: SplitConfig, config: EvaluateRun) -> Self:
        """Return test queries, or validation queries where there is no test window, on items of the bundle."""
        split = make_split(in_vocabulary(prepared, bundle), holdout, prepared.has_clock)
        state = recounted(bundle.state, split.counted, prepared.has_clock)
        return cls(
            history=split.history, train=split.train, k=config.k, processes=config.processes, state=state,
            queries=sampled(split.test if len(split.test) else split.valid, config.report_queries),
            keep_seen=bundle.manifest.keep_seen if config.keep_seen is None else config.keep_seen,
        )  # fmt: skip

    def outcome(self, bundle: Bundle) -> Outcome:
        """Return how the bundle's engine does, query by query."""
        state = replace(self.state, vectors=bundle.state.vectors)

        def rank(_: Lookup, prospects: list[Prospect]) -> dict[str, list[Candidates]]:
            return {ENGINE: ranked(prospects, state, bundle.ranker)}

        ask = partial(asked, bundle.model, state, bundle.sources, self.history)
        found = measure_rows(rank, state, ask, self.queries, self.keep_seen, self.k, processes=self.processes)
        return found.rows[ENGINE]

    def table(self, outcomes: dict[str, Outcome], config: ReportConfig) -> Table:
        """Return the metrics of the last outcome as the engine's, beside those of the first."""
        (name, first), *_, (_, last) = outcomes.items()
        rows = {ENGINE: last, name: first}
        evaluation = Evaluation(k=self.k, queries=self.queries, popularity=self.state.popularity, rows=rows)
        return summarise(evaluation, config)

    def calls(self) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
        """Return calls of an encoder for one history each, and for 32 at once."""
        asked = zip(self.queries.user_idx[:BATCH].tolist(), self.queries.cut[:BATCH].tolist(), strict=True)
        histories = [self.history.items_of(user_idx)[:cut] for user_idx, cut in asked]
        return [[history] for history in histories] * ROUNDS, [histories] * BATCH
