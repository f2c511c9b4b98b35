"""Fitting the calibration: two curves compete on validation queries, others tell how far the better one is off."""

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from train.evaluation.reliability import Reliability, reliability
from train.models.calibration import Calibration, log_share
from train.models.ranker import Ranker, RankingExamples

KNOTS = 100
HARDLY = 1e-6  # the least probability: no candidate is impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A calibration, and how reliable it is on queries that did not fit it."""

    calibration: Calibration
    reliability: Reliability


def fit_calibration(ranker: Ranker, examples: RankingExamples, seed: int = 0) -> Calibrated:
    """Return the calibration of a ranker's scores.

    Half of the queries fit it, by isotonic regression (Zadrozny and Elkan, 2002) or by a sigmoid (Platt, 1999),
    whichever has the lower log loss on a quarter of that half; the other half measures it.
    """
    scores = np.split(ranker.score(examples.features), examples.offsets[1:-1])
    share = np.concatenate([log_share(score) for score in scores])
    query = np.repeat(np.arange(len(scores)), np.diff(examples.offsets))
    part = np.random.default_rng(seed).permutation(len(scores)) % 8  # 0–2 fit, 3 chooses, 4–7 measure
    fits, chooses, measures = ((part[query] >= low) & (part[query] < high) for low, high in ((0, 3), (3, 4), (4, 8)))
    if not chooses.any() or not measures.any():  # a handful of queries serves for everything
        fits = chooses = measures = np.ones(len(share), dtype=bool)
    method = min(CURVES, key=lambda name: _loss(_fit(name, share[fits], examples.relevant[fits]),
                                                share[chooses], examples.relevant[chooses]))  # fmt: skip
    known = fits | chooses
    calibration = _fit(method, share[known], examples.relevant[known])
    found = reliability(calibration.at(share[measures]), examples.relevant[measures])
    return Calibrated(calibration=calibration, reliability=found)


def _fit(method: str, share: np.ndarray, chosen: np.ndarray) -> Calibration:
    """Return one curve; a constant where nothing, or everything, was chosen."""
    if chosen.all() or not chosen.any():
        rate = (chosen.sum() + 1) / (len(chosen) + 2)
        return Calibration(method="constant", log_share=np.zeros(1), chosen=np.array([rate]))
    knots, probability = CURVES[method](share, chosen)
    return Calibration(method=method, log_share=knots, chosen=np.clip(probability, HARDLY, 1))


def _isotonic(share: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    curve = IsotonicRegression().fit(share, chosen)
    return curve.X_thresholds_, curve.y_thresholds_


def _platt(share: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    curve = LogisticRegression(C=1e6).fit(share[:, None], chosen)
    knots = np.linspace(share.min(), share.max(), KNOTS)
    return knots, curve.predict_proba(knots[:, None])[:, 1]


def _loss(calibration: Calibration, share: np.ndarray, chosen: np.ndarray) -> float:
    return float(log_loss(chosen, calibration.at(share), labels=[False, True]))


CURVES = {"isotonic": _isotonic, "platt": _platt}
