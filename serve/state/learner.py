"""The learner: one deterministic function that carries the live state over a micro-batch.

The store, a replay and every replica run the same code on the same batches, so all of them must come to the same bits
on any processor. Hence no clock, no random state, no libm and no BLAS: only sums, products, quotients and square roots,
which IEEE 754 rounds in one way, in a fixed order.
"""

import itertools
import math

import numpy as np

from serve.state.events import MERGE, MicroBatch
from serve.state.live import LiveState
from serve.state.moves import Moved, joined
from train.data.schema import NO_ITEM

EPSILON = 1e-12  # keeps the first step of a row finite


def apply(state: LiveState, batch: MicroBatch) -> Moved:
    """Carry `state` over the next micro-batch and return its steps; it matters not how events were batched."""
    liked = (batch.item_idx != NO_ITEM) & (batch.weight > 0)
    for user_id, row, is_liked in zip(batch.user_ids, batch.rows(), liked.tolist(), strict=True):
        if is_liked or row.is_return:
            state.shoppers.append(user_id, row)
        elif row.event_type == MERGE:
            state.shoppers.merge(user_id, row)
            state.marks.add(row.order_key)
        else:
            continue
        state.marks.add(user_id)
    counted = liked & (batch.standing > 0)
    item_idx, share = batch.item_idx[counted], batch.standing[counted].astype(np.float64)
    state.items.count(item_idx, batch.timestamp_ms[counted], share)
    state.items.transitions.add(batch.previous[counted], item_idx, share)
    if (spoken := ~np.isnan(batch.opinion[counted])).any():
        opinion = batch.opinion[counted][spoken].astype(np.float64)
        state.items.opinions.add(item_idx[spoken], opinion, share[spoken])
    state.figures.add(batch.judged, batch.standing)
    moved = [
        state.write(write, vector, seq)
        for seq, (write, vector) in enumerate(zip(batch.writes, batch.vectors, strict=False), batch.first_seq)
    ]
    if state.config.learning_rate > 0:
        moved.append(move_rows(state, batch))
    state.version = batch.version
    return joined(moved)


def move_rows(state: LiveState, batch: MicroBatch) -> Moved:
    """Let each event move its item's row and, if it likes the item, those of sampled ones, one event after the other.

    Events that share no row cannot tell who came first, so a stretch of such moves at once, to the same bits.
    """
    mean_squares = dot(batch.vectors, batch.vectors) / np.float32(batch.vectors.shape[1])
    stepping = (batch.item_idx != NO_ITEM) & (batch.weight != 0) & (mean_squares > 0) & (batch.standing > 0)
    negatives = sample_negatives(batch.first_seq, len(batch), state.config.negatives, state.items.n_items)
    rows = np.column_stack((negatives, batch.item_idx))
    likes = batch.weight > 0
    steps: list[Moved] = []
    for start, end in itertools.pairwise(stretches(rows, likes)):
        chosen = start + np.flatnonzero(stepping[start:end])
        if len(chosen):
            own = rows[chosen] if likes[start] else rows[chosen, -1:]
            marks = mean_squares[chosen], batch.standing[chosen]
            steps.append(_step(state, own, float(likes[start]), batch.vectors[chosen], *marks))
    return joined(steps)


def stretches(rows: np.ndarray, likes: np.ndarray) -> list[int]:
    """Return where stretches of events begin that share no row and are alike in `likes`, and the end of the last one.

    rows: (n, k) int64, those of each event; likes: (n,) bool.
    """
    order = np.argsort(rows, axis=None, kind="stable")
    event, row = order // rows.shape[1], rows.ravel()[order]
    again = (row[1:] == row[:-1]) & (event[1:] != event[:-1])
    last_shared = np.full(len(rows), -1)  # the newest event before each one that has a row of it
    np.maximum.at(last_shared, event[1:][again], event[:-1][again])
    found = [0]
    for position, shared in enumerate(last_shared.tolist()):
        if shared >= found[-1] or (position and likes[position] != likes[position - 1]):
            found.append(position)
    return [*found, len(rows)]


def sample_negatives(first_seq: int, n_events: int, k: int, n_items: int) -> np.ndarray:
    """Return (n_events, k) item_idx, drawn by hashing the event's seq and the place in its row."""
    seq = np.arange(first_seq, first_seq + n_events, dtype=np.uint64)[:, None]
    counter = seq * np.uint64(k) + np.arange(k, dtype=np.uint64)
    return (splitmix64(counter) % np.uint64(n_items)).astype(np.int64)


def splitmix64(counter: np.ndarray) -> np.ndarray:
    """Return the counters' hashes, uint64 (Steele, Lea and Flood, 2014, figure 16)."""
    z = counter * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _step(
    state: LiveState, rows: np.ndarray, label: float, shopper_vectors: np.ndarray, mean_squares: np.ndarray,
    standing: np.ndarray,
) -> Moved:  # fmt: skip
    """Take Adagrad steps (Duchi et al., 2011), with one accumulator a row, on −log σ(±⟨h_u, h_i⟩).

    label: 1 pulls the events' items to h_u, 0 pushes them away; mean_squares: (n,), of h_u's coordinates;
    standing: (n,), the share of its step that each event takes, since Adagrad gives small gradients full steps.
    rows: (n, k) item_idx, no row in two events, each event's own item last, so that numpy's last write wins where it
    was drawn as a negative too.
    """
    vectors, anchor = (table.take(rows, axis=0) for table in (state.items.vectors, state.anchor))
    drift = np.float32(state.config.max_drift)
    error = sigmoid(dot(vectors, shopper_vectors[:, None]))
    error[:, -1] -= label
    squares = state.squares[rows] + error * error * mean_squares[:, None]
    step = np.float32(state.config.learning_rate) * error / np.sqrt(squares + np.float32(EPSILON))
    step *= standing[:, None]
    vectors -= step[:, :, None] * shopper_vectors[:, None]
    np.maximum(vectors, anchor - drift, out=vectors)
    np.minimum(vectors, anchor + drift, out=vectors)
    state.items.vectors[rows] = vectors
    state.squares[rows] = squares
    length = np.sqrt(mean_squares * np.float32(shopper_vectors.shape[1]))
    return Moved(rows.ravel(), (np.abs(step) * length[:, None]).ravel())  # what the bounds cut off makes none longer


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return about 1 / (1 + e^−x), within .012, exactly 0 below −6 and 1 above 6: e^x has no last bit to rely on.

    tanh(y) ≈ y (27 + y²) / (27 + 9 y²) is its Padé approximant, and σ(x) = (1 + tanh(x / 2)) / 2.
    """
    y = np.clip(x, -6, 6) * np.float32(0.5)
    square = y * y
    return np.float32(0.5) + np.float32(0.5) * y * (27 + square) / (27 + 9 * square)


def dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return inner products over the last axis; neighbours are added up, so that no kernel orders the sums."""
    terms = left * right
    *shape, width = terms.shape
    if missing := (1 << (width - 1).bit_length()) - width:
        terms = np.concatenate((terms, np.zeros((*shape, missing), terms.dtype)), axis=-1)
    terms = terms.ravel()
    while len(terms) > math.prod(shape):
        terms = terms[::2] + terms[1::2]
    return terms.reshape(shape)
