"""Fitting the calibration: two kinds of curve compete on validation queries, others tell how far the better is off."""

from dataclasses import dataclass

import numpy as np

from train.data.schema import Goal
from train.evaluation.reliability import Reliability, reliability
from train.models.calibration import Calibration, Curve, log_share
from train.models.ranker import Ranker, RankingExamples

KNOTS = 100
HARDLY = 1e-6  # the least probability: no candidate is impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A calibration, and how reliable it is on queries that did not fit it."""

    calibration: Calibration
    reliability: dict[Goal, Reliability]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Which rows fit a curve, choose between curves, and measure the chosen one; each (n,) bool."""

    fits: np.ndarray
    chooses: np.ndarray
    measures: np.ndarray


def fit_calibration(ranker: Ranker, examples: RankingExamples, seed: int = 0) -> Calibrated:
    """Return the calibration of a ranker's scores, with a curve for each goal that the examples tell apart.

    Half of the queries fit it, by isotonic regression (Zadrozny and Elkan, 2002) or by a sigmoid (Platt, 1999),
    whichever has the lower log loss on a quarter of that half; the other half measures it.
    """
    scores = np.split(ranker.score(examples.features), examples.offsets[1:-1])
    share = np.concatenate([log_share(score) for score in scores])
    parts = _parts(np.diff(examples.offsets), seed)
    reached: dict[Goal, np.ndarray] = examples.reached or {"click": examples.relevant}
    curves: dict[Goal, Curve] = {}
    found: dict[Goal, Reliability] = {}
    for goal, chosen in reached.items():
        curves[goal], found[goal] = _best(share, chosen, parts)
    return Calibrated(calibration=Calibration(curves=curves), reliability=found)


def _parts(sizes: np.ndarray, seed: int) -> Parts:
    """Return the rows of queries with so many candidates, parted by query."""
    part = np.repeat(np.random.default_rng(seed).permutation(len(sizes)) % 8, sizes)
    parts = Parts(fits=part < 3, chooses=part == 3, measures=part > 3)
    if parts.chooses.any() and parts.measures.any():
        return parts
    everything = np.ones(len(part), dtype=bool)  # a handful of queries serves for everything
    return Parts(fits=everything, chooses=everything, measures=everything)


def _best(share: np.ndarray, chosen: np.ndarray, parts: Parts) -> tuple[Curve, Reliability]:
    """Return the better curve, and how reliable it is."""
    fits, chooses, known = parts.fits, parts.chooses, parts.fits | parts.chooses
    method = min(CURVES, key=lambda name: _loss(_fit(name, share[fits], chosen[fits]), share[chooses], chosen[chooses]))
    curve = _fit(method, share[known], chosen[known])
    return curve, reliability(curve.at(share[parts.measures]), chosen[parts.measures])


def _fit(method: str, share: np.ndarray, chosen: np.ndarray) -> Curve:
    """Return one curve; a constant where nothing, or everything, was chosen."""
    if chosen.all() or not chosen.any():
        rate = (chosen.sum() + 1) / (len(chosen) + 2)
        return Curve(method="constant", log_share=np.zeros(1), chosen=np.array([rate]))
    knots, probability = CURVES[method](share, chosen)
    return Curve(method=method, log_share=knots, chosen=np.clip(probability, HARDLY, 1))


def _isotonic(share: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.isotonic import IsotonicRegression  # late: half a second that measuring a bundle need not wait

    curve = IsotonicRegression().fit(share, chosen)
    return curve.X_thresholds_, curve.y_thresholds_


def _platt(share: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression  # late, as above

    curve = LogisticRegression(C=1e6).fit(share[:, None], chosen)
    knots = np.linspace(share.min(), share.max(), KNOTS)
    return knots, curve.predict_proba(knots[:, None])[:, 1]


def _loss(curve: Curve, share: np.ndarray, chosen: np.ndarray) -> float:
    from sklearn.metrics import log_loss  # late, as above

    return float(log_loss(chosen, curve.at(share), labels=[False, True]))


CURVES = {"isotonic": _isotonic, "platt": _platt}
