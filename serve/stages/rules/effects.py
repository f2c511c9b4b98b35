"""What rules in force do to candidates that carry their marks: to the odds of each, and to the slate as a whole."""

from collections.abc import Sequence

import numpy as np

from serve.stages.arranging.room import Limits
from serve.stages.rules.config import BoostRule, BuryRule, CapRule, PinRule, QuotaRule, Rule
from train.models.candidates import Candidates


def odds(rules: Sequence[Rule], candidates: Candidates) -> np.ndarray | None:
    """Return what the odds of each candidate are multiplied by, (n,) float64; nothing where none is.

    rules: one for each mark that the candidates carry.
    """
    if not any(isinstance(rule, BoostRule | BuryRule) for rule in rules):
        return None
    factor = np.ones(len(candidates))
    for rule, marked in zip(rules, marks_of(candidates), strict=True):
        if isinstance(rule, BoostRule):
            factor[marked] *= rule.factor
        elif isinstance(rule, BuryRule):
            factor[marked] /= rule.factor
    return factor


def limits_of(rules: Sequence[Rule], candidates: Candidates, count: int) -> Limits:
    """Return what rules ask of a slate of `count`; candidates: from the worthiest."""
    of = [(rule, np.flatnonzero(marked)) for rule, marked in zip(rules, marks_of(candidates), strict=True)]
    caps = [(rule.limit, items) for rule, items in of if isinstance(rule, CapRule)]
    return Limits(
        holder=np.concatenate([np.empty(0, np.int64), *(items for _, items in caps)]),
        value=np.repeat(np.arange(len(caps)), [len(items) for _, items in caps]),
        limit=np.array([limit for limit, _ in caps], np.int64),
        pins=tuple((rule.position - 1, rule.limit, items) for rule, items in of if isinstance(rule, PinRule)),
        quotas=tuple((rule.wanted(count), items) for rule, items in of if isinstance(rule, QuotaRule)),
    )  # fmt: skip


def marks_of(candidates: Candidates) -> np.ndarray:
    """Return which candidates each rule is about, (r, n) bool."""
    return np.empty((0, len(candidates)), dtype=bool) if candidates.marks is None else candidates.marks.T


def weighed(score: np.ndarray, factor: np.ndarray | None, are_logits: bool) -> np.ndarray:
    """Return scores (n,) with their odds multiplied, (n,) float64; they rise where `factor` exceeds 1, and only there.

    A logit is the logarithm of odds. Any other score, such as popularity or an objective's value, is taken for the odds
    themselves, or where it is negative for what the odds are against.
    """
    score = score.astype(np.float64)
    if factor is None:
        return score
    if are_logits:
        return score + np.log(factor)
    return np.where(score < 0, score / factor, score * factor)
