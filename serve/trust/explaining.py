"""Explaining: what each row of a history, and each kind of thing that the ranker read, had to do with a slate."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from serve.trust.decisions import Decision
from train.models.features import (
    CONTEXT,
    FACETS,
    FEATURES,
    ITEM,
    MEMORY,
    OWN,
    QUALITY,
    REPEAT,
    SEQUENCE,
    TRANSITION,
    WORDS,
)
from train.models.ranker import Ranker
from train.models.shopper import History

NEWEST = 20  # rows of a history that are left out, one after the other
KINDS = {
    "sequence": SEQUENCE, "transitions": TRANSITION, "memory": MEMORY, "ownNext": OWN, "words": WORDS,
    "taste": FACETS, "popularity": ITEM, "quality": QUALITY, "repeats": REPEAT, "context": CONTEXT,
}  # fmt: skip  # of features, by what they tell of
OF_KIND = np.array([[name in own for name in FEATURES] for own in KINDS.values()])  # (K, F)

EncodeMany = Callable[[list[History]], np.ndarray]  # histories → (n, d)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Shares of what was shown, which add up: of the ranker's score, and of ⟨h_u, h_i⟩ as far as leaving out tells."""

    baseline: float  # the ranker's score of the average candidate of the list
    parts: np.ndarray  # (k, K) by KINDS: what lifts each shown item above it; NaN where its features were not kept
    rows: tuple[str, ...]  # item_ids of the newest NEWEST rows, oldest first
    product: np.ndarray  # (k,) ⟨h_u, h_i⟩ of what was shown
    left_out: np.ndarray  # (rows, k) by how much it would be less without that row
    is_exact: bool  # whether h_u is the one that was served: all that the model reads was kept


def explained(
    decision: Decision, ranker: Ranker, vectors: np.ndarray, index: Mapping[str, int], encode: EncodeMany, reads: float
) -> Explanation:  # fmt: skip
    """Return why a decision showed what it did.

    vectors: (k, d), h_i of what was shown; index: item_id → item_idx; reads: newest rows that the model reads.
    """
    traits = decision.traits if len(decision.traits) else None
    rows = np.array([index[one] for one in decision.history], np.int64)
    histories = without_each(_history(rows, traits, decision.at_ms))
    known = [place for place, history in enumerate(histories) if not history.is_stranger]
    shopper = np.zeros((len(histories), vectors.shape[1]), np.float32)
    if known:
        shopper[known] = encode([histories[place] for place in known])
    products = shopper @ vectors.T
    baseline, parts = _parts(decision, ranker)
    return Explanation(
        baseline=baseline, parts=parts, rows=decision.history[-NEWEST:], product=products[0],
        left_out=products[0] - products[1:], is_exact=min(decision.n_history, reads) <= len(decision.history),
    )  # fmt: skip


def without_each(history: History) -> list[History]:
    """Return a history, and what it would be without each of its newest NEWEST rows, the oldest of them first."""
    n = len(history)
    rows = np.arange(n)
    return [history, *(history.where(rows != row) for row in range(max(0, n - NEWEST), n))]


def shapley(value: np.ndarray) -> np.ndarray:
    """Return what each of K players adds to a game, (K,) (Shapley, 1953, section 3, by the sum over all coalitions).

    value: (2^K,) of each coalition, to which player p belongs where bit p of its number is set.
    """
    n = len(value).bit_length() - 1
    coalition = np.arange(len(value))
    size = np.array([int(one).bit_count() for one in coalition])
    weight = np.array([math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n) for s in range(n)])
    added = np.empty(n)
    for player in range(n):
        without = coalition[coalition >> player & 1 == 0]
        added[player] = weight[size[without]] @ (value[without | 1 << player] - value[without])
    return added


def kinds_of(features: np.ndarray, baseline: np.ndarray, ranker: Ranker) -> np.ndarray:
    """Return the Shapley value (K,) of each of KINDS for the score of one item's features (F,).

    What is not known of an item is that of the average one, `baseline` (F,). All coalitions are tried, so that the
    values are exact; kinds in which the item is average are worth nothing.
    """
    differs = np.flatnonzero((OF_KIND & (features != baseline)).any(axis=1))
    member = (np.arange(1 << len(differs))[:, None] >> np.arange(len(differs)) & 1).astype(bool)  # (2^K, K)
    rows = np.where(member @ OF_KIND[differs], features, baseline)
    parts = np.zeros(len(KINDS))
    parts[differs] = shapley(ranker.score(rows).astype(np.float64))
    return parts


def _parts(decision: Decision, ranker: Ranker) -> tuple[float, np.ndarray]:
    n, parts = len(decision.features), np.full((len(decision.shown), len(KINDS)), np.nan)
    if not n:
        return math.nan, parts
    baseline = decision.features.mean(axis=0, dtype=np.float64).astype(np.float32)
    for row, place in enumerate(decision.shown.tolist()):
        if place < n:
            parts[row] = kinds_of(decision.features[place], baseline, ranker)
    return float(ranker.score(baseline[None])[0]), parts


def _history(item_idx: np.ndarray, traits: np.ndarray | None, asked_ms: int) -> History:
    nothing = np.zeros(len(item_idx), np.int64)  # encoders read items alone
    return History(item_idx=item_idx, timestamp_ms=nothing, order_idx=nothing, traits=traits, asked_ms=asked_ms)
