"""Where the one right item stands among all items, for blocks of shoppers at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cluster.errors import DataError
from train.models.base import Model, VectorModel

K = 10
BLOCK = 2**24  # scores held in memory at once

Scorer = Callable[[list[np.ndarray]], np.ndarray]  # histories → (n, n_items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Ranks of the right items, (q,) float64, 0 is best, ties half-way."""

    filtered: np.ndarray  # among items that the shopper never had; inf where the right one is not among them
    kept: np.ndarray  # among all items


def rank_all(model: Model, histories: list[np.ndarray], truth: np.ndarray) -> Ranks:
    """Return where `truth` (q,) item_idx stands among all items after each history, oldest item first."""
    filtered, kept = np.empty(len(truth)), np.empty(len(truth))
    step = max(1, BLOCK // model.n_items)
    for start, scores in score_blocks(model, histories, step):
        block = slice(start, start + len(scores))
        filtered[block], kept[block] = block_ranks(scores, histories[block], truth[block])
    return Ranks(filtered=filtered, kept=kept)


def score_blocks(model: Model, histories: list[np.ndarray], step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first query of each block and the scores of all items for its queries."""
    if not isinstance(model, VectorModel):
        for start in range(0, len(histories), step):
            yield start, model.scores(histories[start : start + step])
        return
    with torch.inference_mode():
        items = model.item_vectors().float().cpu().numpy().T
    shoppers = model.encode_histories(histories)  # all at once, so that histories of equal length meet
    for start in range(0, len(histories), step):
        yield start, shoppers[start : start + step] @ items


def block_ranks(scores: np.ndarray, histories: list[np.ndarray], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return filtered and kept ranks; scores (n, n_items), truth (n,) item_idx."""
    if np.isnan(scores).any():
        raise DataError("the model's scores are not numbers; its training diverged")
    rows = np.arange(len(truth))
    own = scores[rows, truth][:, None]
    kept = half_way((scores > own).sum(axis=1), (scores == own).sum(axis=1))
    lengths = [len(history) for history in histories]
    row = np.repeat(rows, lengths)
    item = np.concatenate([np.empty(0, np.int64), *histories])
    row, item = np.divmod(np.unique(row * scores.shape[1] + item), scores.shape[1])  # an item had twice is one item
    had, rival = scores[row, item], own[row, 0]
    above = np.bincount(row[had > rival], minlength=len(truth))
    equal = np.bincount(row[(had == rival) & (item != truth[row])], minlength=len(truth))
    filtered = kept - above - equal / 2
    filtered[row[item == truth[row]]] = np.inf
    return filtered, kept


def half_way(above: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Return ranks from how many items score higher, and how many the same, the item itself included."""
    return above + (equal - 1) / 2


def gain(rank: np.ndarray) -> np.ndarray:
    """Return what each query adds to NDCG@10 where one item is right (Järvelin and Kekäläinen, 2002)."""
    return np.where(rank < K, 1 / np.log2(np.minimum(rank, K) + 2), 0.0)


def metrics(ranks: Ranks) -> dict[str, float]:
    """Return the figures of a row; the half width is of a 95 % interval, users being independent."""
    gains = gain(ranks.filtered)
    return {
        f"recall@{K}": float((ranks.filtered < K).mean()),
        f"ndcg@{K}": float(gains.mean()),
        f"ndcg@{K}_half_width": float(1.96 * gains.std() / np.sqrt(len(gains))),
        f"recall@{K}_kept": float((ranks.kept < K).mean()),
        f"ndcg@{K}_kept": float(gain(ranks.kept).mean()),
    }
