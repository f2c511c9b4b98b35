"""Where orders begin, and the questions that they answer."""

import numpy as np

from train.data.schema import Interactions, Queries


def order_starts(interactions: Interactions) -> np.ndarray:
    """Return the first row of each order, (n_orders,) int64, user by user, oldest first."""
    return np.flatnonzero(np.diff(interactions.order_idx, prepend=-1))


def order_queries(interactions: Interactions, starts: np.ndarray) -> Queries:
    """Return the question before each order: which items will it hold?

    starts: (q,) rows at which orders begin; the queries keep their sequence.
    """
    user_idx = interactions.user_idx[starts]
    rows, query = _rows_of(interactions, starts)
    items = interactions.item_idx[rows]
    # The first row of each item within each order: an order may name an item twice.
    _, first = np.unique(np.stack([query, items]), axis=1, return_index=True)
    first.sort()
    counts = np.bincount(query[first], minlength=len(starts))
    return Queries(
        user_idx=user_idx,
        cut=starts - interactions.offsets[user_idx],
        truth_offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        truth=items[first],
        purchased=None if interactions.purchased is None else interactions.purchased[rows[first]],
    )


def inside_queries(interactions: Interactions, orders: Queries, seed: int) -> Queries:
    """Return a question somewhere in the middle of each order with more than one row: which item comes next?

    orders: questions before orders, as `order_queries` makes them; their sequence is kept.
    """
    begin = interactions.offsets[orders.user_idx] + orders.cut
    starts = order_starts(interactions)
    ends = np.append(starts[1:], len(interactions))[np.searchsorted(starts, begin, side="right") - 1]
    several = np.flatnonzero(ends - begin > 1)
    begin, more = begin[several], (ends - begin)[several] - 1
    rows = begin + 1 + (np.random.default_rng(seed).random(len(begin)) * more).astype(np.int64)
    user_idx = orders.user_idx[several]
    return Queries(
        user_idx=user_idx, cut=rows - interactions.offsets[user_idx], truth_offsets=np.arange(len(rows) + 1),
        truth=interactions.item_idx[rows],
    )  # fmt: skip


def no_queries() -> Queries:
    """Return no question at all."""
    nothing = np.empty(0, dtype=np.int64)
    return Queries(user_idx=nothing, cut=nothing, truth_offsets=np.zeros(1, dtype=np.int64), truth=nothing)


def _rows_of(interactions: Interactions, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the orders that begin at `starts`, and the query that each belongs to."""
    all_starts = order_starts(interactions)
    ends = np.append(all_starts[1:], len(interactions))[np.searchsorted(all_starts, starts)]
    sizes = ends - starts
    query = np.repeat(np.arange(len(starts)), sizes)
    within = np.arange(len(query)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return starts[query] + within, query
