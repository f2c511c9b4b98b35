"""How much each member of an ensemble is worth: the weights under which validation is likeliest."""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from train.models.base import VectorModel
from train.validation import ValidationSet

CHUNK = 2**24  # scores of one member at a time
ITERATIONS = 30

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """Some queries with what every member says of every item."""

    scores: Tensor  # (m, b, n_items)
    target: Tensor  # (b, n_items), equal shares over the items that were chosen, summing to 1
    hidden: Tensor  # (b, n_items) bool, what the answer leaves out


@torch.inference_mode()
def likeliest_weights(members: Sequence[VectorModel], valid: ValidationSet) -> tuple[float, ...]:
    """Return w ≥ 0 that minimises −mean over chosen items i of log softmax(Σ_m w_m s_m)_i, a convex problem.

    This is a logarithmic opinion pool (Heskes, 1998) whose weights need not sum to one, so that members on different
    scales become comparable and the mixture is as sure of itself as validation warrants.
    """
    shoppers = [member.encode_histories(valid.histories, valid.told) for member in members]
    items = [member.item_vectors().float().cpu() for member in members]
    scale = np.array([_spread(users, vectors) for users, vectors in zip(shoppers, items, strict=True)])

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = 0.0, np.zeros(len(members))
        for asked in _chunks(shoppers, items, valid):
            part, slope = _surprise(asked, torch.from_numpy(weights / scale).float())
            loss, gradient = loss + part, gradient + slope / scale
        return loss / len(valid.truths), gradient / len(valid.truths)

    from scipy.optimize import minimize  # late: a tenth of a second that only fitting need wait

    start = np.full(len(members), 1 / len(members))
    bounds = [(0, None)] * len(members)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
    weights = (found.x if found.x.any() else start) / scale
    log.info("weighed members=%s nats=%.4f", np.round(weights, 4).tolist(), found.fun)
    return tuple(weights.tolist())


def _spread(shoppers: np.ndarray, items: Tensor) -> float:
    """Return how far the scores of items are apart, as a standard deviation, at least a little."""
    some = torch.from_numpy(shoppers[:100]) @ items.T
    return max(float(some.std(dim=1, correction=0).mean()), 1e-6)


def _surprise(asked: Asked, weights: Tensor) -> tuple[float, np.ndarray]:
    """Return the summed loss of some queries in nats, and its slope by each weight, (m,)."""
    mixed = torch.einsum("m,mbi->bi", weights, asked.scores).masked_fill_(asked.hidden, -torch.inf)
    log_share = mixed.log_softmax(dim=1).masked_fill_(asked.hidden, 0)
    excess = log_share.exp().masked_fill_(asked.hidden, 0) - asked.target
    slope = torch.einsum("bi,mbi->m", excess, asked.scores)
    return -float((asked.target * log_share).sum()), slope.double().numpy()


def _chunks(shoppers: list[np.ndarray], items: list[Tensor], valid: ValidationSet) -> Iterator[Asked]:
    size = max(1, CHUNK // len(items[0]))
    for start in range(0, len(valid.truths), size):
        queries = range(start, min(start + size, len(valid.truths)))
        scores = [
            torch.from_numpy(users[start : queries.stop]) @ vectors.T
            for users, vectors in zip(shoppers, items, strict=True)
        ]
        yield Asked(torch.stack(scores), *_truth(queries, len(items[0]), valid))


def _truth(queries: range, n_items: int, valid: ValidationSet) -> tuple[Tensor, Tensor]:
    target, hidden = torch.zeros(len(queries), n_items), torch.zeros(len(queries), n_items, dtype=torch.bool)
    for row, query in enumerate(queries):
        truth, history = valid.truths[query], valid.histories[query]
        target[row, truth] = 1 / len(truth)
        if valid.filter_seen:
            hidden[row, np.setdiff1d(history[history < n_items], truth)] = True
    return target, hidden
