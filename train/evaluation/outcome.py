"""How ways of ranking did, query by query, so that any mean, interval, segment or test can be taken of it."""

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from train.data.schema import Catalogue, Goal, Queries
from train.evaluation.beyond import (
    category_divergence,
    coverage,
    diversity,
    gini,
    mean_of_items,
    popularity_percentile,
    self_information,
    shown_items,
)
from train.evaluation.metrics import RankedTruths, accuracy
from train.evaluation.reliability import Reliability


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one way of ranking did."""

    truths: RankedTruths
    shown: csr_matrix  # (q, n_items) 0/1, the best k of each list
    values: dict[str, np.ndarray]  # metric → (q,), NaN where a query says nothing of it
    whole: dict[str, float]  # metrics that only all lists together have


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The engine and its baselines on the same queries."""

    k: int
    queries: Queries
    popularity: np.ndarray  # (n_items,) events that training saw
    rows: dict[str, Outcome]  # the engine first
    reliability: dict[Goal, Reliability] = field(default_factory=dict)  # of the engine's probabilities, if it has any


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What the lists are held against, beside what was really chosen."""

    popularity: np.ndarray  # (n_items,)
    past: csr_matrix  # (q, n_items), how often each shopper had each item before
    catalogue: Catalogue | None = None  # without it, nothing is said of variety


def outcome_of(truths: RankedTruths, lists: np.ndarray, shelf: Shelf, k: int) -> Outcome:
    """Return all metrics of lists of item_idx, (q, k), and of where the true items came."""
    shown = shown_items(lists, len(shelf.popularity))
    values = accuracy(truths, k) | {
        f"novelty@{k}": mean_of_items(shown, self_information(shelf.popularity)),
        f"popularity@{k}": mean_of_items(shown, popularity_percentile(shelf.popularity)),
    }
    if shelf.catalogue is not None:
        values |= _variety(shown, shelf.past, shelf.catalogue, k)
    said = {name: of_query for name, of_query in values.items() if not np.isnan(of_query).all()}
    return Outcome(
        truths=truths, shown=shown, values=said, whole={f"coverage@{k}": coverage(shown), f"gini@{k}": gini(shown)}
    )


def _variety(shown: csr_matrix, past: csr_matrix, catalogue: Catalogue, k: int) -> dict[str, np.ndarray]:
    levels = [name.startswith("category:") for name in catalogue.attribute_names]
    variety = {f"diversity@{k}": diversity(shown, catalogue.attributes)} if catalogue.attributes.nnz else {}
    if any(levels):
        categories = csr_matrix(catalogue.attributes[:, np.flatnonzero(levels)])
        variety[f"category_kl@{k}"] = category_divergence(past, shown, categories)
    return variety
