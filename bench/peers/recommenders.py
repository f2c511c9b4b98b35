"""Simple recommenders to hold the engine against, from plain counts and without any of its code."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix, diags

Sequences = list[list[int]]  # each shopper's items, oldest first
CHUNK = 512


def popularity_scores(sequences: Sequences, n_items: int) -> np.ndarray:
    """Return how often each item was chosen, (n_items,)."""
    return np.bincount([item for sequence in sequences for item in sequence], minlength=n_items).astype(float)


def rule_matrix(sequences: Sequences, n_items: int, window: int = 10, decay: float = 0.8) -> csr_matrix:
    """Return how strongly item j (column) comes soon after item i (row).

    Sequential rules (Ludewig and Jannach, 2018, section 3.1) with links back at half the weight, rows divided by the
    root and columns by the fourth root of their sums.
    """
    counts: defaultdict[tuple[int, int], float] = defaultdict(float)
    for sequence in sequences:
        for later, target in enumerate(sequence):
            for distance, source in enumerate(reversed(sequence[max(0, later - window) : later])):
                counts[source, target] += decay**distance
                counts[target, source] += 0.5 * decay**distance
    pairs = np.array(list(counts))
    matrix = csr_matrix((list(counts.values()), (pairs[:, 0], pairs[:, 1])), shape=(n_items, n_items))
    rows, columns = np.asarray(matrix.sum(axis=1)).ravel(), np.asarray(matrix.sum(axis=0)).ravel()
    return csr_matrix(diags(np.maximum(rows, 1e-9) ** -0.5) @ matrix @ diags(np.maximum(columns, 1e-9) ** -0.25))


def rule_scores(
    sequences: Sequences, rules: csr_matrix, window: int = 10, history_decay: float = 0.6
) -> Iterator[np.ndarray]:
    """Yield each shopper's scores of all items, (n_items,), from their last `window` items."""
    for start in range(0, len(sequences), CHUNK):
        chunk = sequences[start : start + CHUNK]
        entries = [
            (row, item, history_decay**age)
            for row, sequence in enumerate(chunk)
            for age, item in enumerate(reversed(sequence[-window:]))
        ]
        row, item, weight = zip(*entries, strict=True)
        yield from (csr_matrix((weight, (row, item)), shape=(len(chunk), len(rules.indptr) - 1)) @ rules).toarray()
