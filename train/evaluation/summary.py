"""An evaluation in a few numbers: the table, its segments, and the engine against the best baseline."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from cluster.config import Config
from cluster.errors import ConfigError
from train.evaluation.bootstrap import BootstrapConfig, Comparison, Interval, compare, intervals
from train.evaluation.metrics import ndcg
from train.evaluation.outcome import Evaluation
from train.evaluation.segments import ITEMS, USERS, SegmentsConfig, item_segment, user_segment

Table = dict[str, dict[str, float]]  # row → metric → value

ENGINE = "liveshelf"
SEEN_KEPT = f"{ENGINE}, seen kept"
PARTS = {ENGINE, SEEN_KEPT, "sequence model"}  # rows that are no baselines
BEST = "best"
HALF_WIDTH = "±"  # ends the name of a metric's half interval in a table


class ReportConfig(Config):
    """What is said of an evaluation besides its table."""

    segments: bool = Field(False, description="print a second table by cold, light and heavy users, and by items")
    compare: str = Field("", description=f"row to test the engine against; `{BEST}`: the best baseline")
    bounds: SegmentsConfig = SegmentsConfig.parse([])
    bootstrap: BootstrapConfig = BootstrapConfig.parse([])


DEFAULT = ReportConfig.parse([])


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """How the rows did on a part of the queries."""

    name: str
    n_queries: int
    ndcg: dict[str, Interval]  # row → NDCG@k


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """The engine against another row."""

    opponent: str
    metrics: dict[str, Comparison]


def headline(k: int) -> tuple[str, str]:
    """Return the metrics that are compared first and carry their interval in the table."""
    return f"ndcg@{k}", f"recall@{k}"


def row_intervals(evaluation: Evaluation, config: ReportConfig = DEFAULT) -> dict[str, dict[str, Interval]]:
    """Return every mean over queries with its interval: row → metric → interval."""
    rows = evaluation.rows
    values = {(name, metric): of_query for name, row in rows.items() for metric, of_query in row.values.items()}
    found = intervals(values, evaluation.queries.user_idx, config.bootstrap)  # at once: drawing takes longest
    return {name: {metric: found[name, metric] for metric in row.values} for name, row in rows.items()}


def summarise(evaluation: Evaluation, config: ReportConfig = DEFAULT) -> Table:
    """Return row → metric → value, with half intervals beside the headline, as `ndcg@10±`."""
    found = row_intervals(evaluation, config)
    table = {}
    for name, row in evaluation.rows.items():
        table[name] = {metric: interval.mean for metric, interval in found[name].items()} | row.whole
        table[name] |= {metric + HALF_WIDTH: found[name][metric].half_width for metric in headline(evaluation.k)}
    for goal, kept in evaluation.reliability.items():
        table[ENGINE] |= {f"ece_{goal}": kept.ece, f"base_rate_{goal}": kept.base_rate}
    return table


def by_segment(evaluation: Evaluation, config: ReportConfig = DEFAULT) -> list[Segment]:
    """Return NDCG@k of every row for each segment of users, then for each of items; empty segments are left out.

    A segment of items asks each query for its true items of that segment alone.
    """
    queries, k = evaluation.queries, evaluation.k
    of_user = user_segment(queries.cut, config.bounds)
    of_truth = item_segment(evaluation.popularity, config.bounds)[queries.truth]
    found = []
    for number, name in enumerate(USERS):
        values = {
            row: np.where(of_user == number, outcome.values[f"ndcg@{k}"], np.nan)
            for row, outcome in evaluation.rows.items()
        }
        found.append(_segment(f"{name} users", values, evaluation, config))
    for number, name in enumerate(ITEMS):
        asked = of_truth == number
        values = {row: ndcg(outcome.truths.where(asked), k) for row, outcome in evaluation.rows.items()}
        found.append(_segment(f"{name} items", values, evaluation, config))
    return [segment for segment in found if segment.n_queries]


def duel(evaluation: Evaluation, config: ReportConfig = DEFAULT) -> Duel:
    """Return the paired test of the engine against the row `config.compare`, by default the best baseline."""
    rows = evaluation.rows
    opponent = best_baseline(evaluation) if config.compare in ("", BEST) else config.compare
    if opponent not in rows:
        raise ConfigError(f"compare={opponent!r} is no row of the table; choose from {BEST}, {', '.join(rows)}")
    metrics = {
        metric: compare(
            rows[ENGINE].values[metric], rows[opponent].values[metric], evaluation.queries.user_idx, config.bootstrap
        )
        for metric in headline(evaluation.k)
    }
    return Duel(opponent=opponent, metrics=metrics)


def best_baseline(evaluation: Evaluation) -> str:
    """Return the row with the highest NDCG among those that share no part with the engine."""
    means = {
        name: float(row.values[f"ndcg@{evaluation.k}"].mean())
        for name, row in evaluation.rows.items()
        if name not in PARTS
    }
    return max(means, key=lambda name: means[name])


def _segment(name: str, values: dict[str, np.ndarray], evaluation: Evaluation, config: ReportConfig) -> Segment:
    n_queries = int((~np.isnan(values[ENGINE])).sum())
    found = intervals(values, evaluation.queries.user_idx, config.bootstrap) if n_queries else {}
    return Segment(name=name, n_queries=n_queries, ndcg=found)
