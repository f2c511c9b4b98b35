"""The check that no split lets training see what it is tested on."""

import numpy as np

from cluster.errors import LeakageError
from train.data.orders import order_queries, order_starts
from train.data.schema import Queries, Split


def check_leakage(split: Split, valid_from_ms: int | None = None) -> None:
    """Raise LeakageError when a query may read its own answer, or training may read any.

    valid_from_ms: under a global-time split, when the validation window opens; every train row must be older.
    """
    for part, queries in (("valid", split.valid), ("test", split.test)):
        starts = _checked_starts(split, queries, part)
        _check_train(split, starts, part)
    if valid_from_ms is not None:
        _check_older(split, valid_from_ms)


def _checked_starts(split: Split, queries: Queries, part: str) -> np.ndarray:
    """Return the row at which each query's order begins, where its cut must be and its truth must be found."""
    history = split.history
    starts = history.offsets[queries.user_idx] + queries.cut
    at_order = np.isin(starts, order_starts(history)) & (starts < history.offsets[queries.user_idx + 1])
    if not at_order.all():
        raise LeakageError(f"{part}: the cut of {_count(~at_order)} reaches into its own order, or past the history")
    expected = order_queries(history, starts)
    if not _same_truth(queries, expected):
        raise LeakageError(f"{part}: the answers of a query are not the order after its cut; make the split again")
    return starts


def _check_train(split: Split, starts: np.ndarray, part: str) -> None:
    held_out = np.isin(split.train.order_idx, split.history.order_idx[starts])
    if held_out.any():
        raise LeakageError(f"{held_out.sum()} train rows are answers of {part} queries; make the split again")


def _check_older(split: Split, valid_from_ms: int) -> None:
    late = split.train.timestamp_ms >= valid_from_ms
    if late.any():
        raise LeakageError(
            f"{late.sum()} train rows are not older than the validation window, which opens at {valid_from_ms} ms; "
            "make the split again"
        )


def _same_truth(queries: Queries, expected: Queries) -> bool:
    if not np.array_equal(queries.truth_offsets, expected.truth_offsets):
        return False
    return np.array_equal(_sorted_truth(queries), _sorted_truth(expected))


def _sorted_truth(queries: Queries) -> np.ndarray:
    query = np.repeat(np.arange(len(queries)), np.diff(queries.truth_offsets))
    return queries.truth[np.lexsort((queries.truth, query))]


def _count(mask: np.ndarray) -> str:
    return f"{mask.sum()} of {len(mask)} queries"
