"""The learner: one deterministic function that carries the live state over a micro-batch.

The store, a replay and every replica run the same code on the same batches, so all of them must come to the same bits
on any processor. Hence no clock, no random state, no libm and no BLAS: only sums, products, quotients and square roots,
which IEEE 754 rounds in one way, in a fixed order.
"""

import numpy as np

from serve.state.events import MERGE, MicroBatch
from serve.state.live import LiveState
from train.data.schema import NO_ITEM

EPSILON = 1e-12  # keeps the first step of a row finite


def apply(state: LiveState, batch: MicroBatch) -> None:
    """Carry `state` over the next micro-batch, event by event, so that it matters not how events were batched."""
    negatives = sample_negatives(batch.first_seq, len(batch), state.config.negatives, state.items.n_items)
    stepped = np.column_stack((negatives, batch.item_idx))
    mean_squares = dot(batch.vectors, batch.vectors) / np.float32(batch.vectors.shape[1])
    for position, (user_id, row) in enumerate(zip(batch.user_ids, batch.rows(), strict=True)):
        weight = batch.weight[position]
        if batch.event_types[position] == MERGE:
            state.shoppers.merge(user_id, row)
        if row.item_idx == NO_ITEM or weight == 0:
            continue
        if weight > 0:
            previous = batch.previous[position]
            state.items.count(row.item_idx, row.timestamp_ms)
            state.items.transitions.add(previous[previous != NO_ITEM], row.item_idx)
            state.shoppers.append(user_id, row)
        if mean_squares[position] > 0 and state.config.learning_rate > 0:
            rows = stepped[position] if weight > 0 else stepped[position, -1:]
            _step(state, rows, float(weight > 0), batch.vectors[position], mean_squares[position])
    state.version = batch.version


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
    state: LiveState, rows: np.ndarray, label: float, shopper_vector: np.ndarray, mean_square: np.float32
) -> None:
    """Take one Adagrad step (Duchi et al., 2011), with one accumulator a row, on −log σ(±⟨h_u, h_i⟩).

    label: 1 pulls the event's item to h_u, 0 pushes it away; mean_square: of h_u's coordinates.
    rows: item_idx with the event's own item last, so that numpy's last write wins where it was drawn as a negative too.
    """
    vectors, anchor, drift = state.items.vectors[rows], state.anchor[rows], np.float32(state.config.max_drift)
    error = sigmoid(dot(vectors, shopper_vector))
    error[-1] -= label
    squares = state.squares[rows] + error * error * mean_square
    step = np.float32(state.config.learning_rate) * error / np.sqrt(squares + np.float32(EPSILON))
    vectors -= step[:, None] * shopper_vector
    np.maximum(vectors, anchor - drift, out=vectors)
    np.minimum(vectors, anchor + drift, out=vectors)
    state.items.vectors[rows] = vectors
    state.squares[rows] = squares


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return about 1 / (1 + e^−x), within .012, exactly 0 below −6 and 1 above 6: e^x has no last bit to rely on.

    tanh(y) ≈ y (27 + y²) / (27 + 9 y²) is its Padé approximant, and σ(x) = (1 + tanh(x / 2)) / 2.
    """
    y = np.clip(x, -6, 6) * np.float32(0.5)
    square = y * y
    return np.float32(0.5) + np.float32(0.5) * y * (27 + square) / (27 + 9 * square)


def dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the inner product of each row, (m,); halves are added to each other, so that no kernel orders the sums."""
    terms = left * right
    while (width := terms.shape[1]) > 1:
        half = width // 2
        folded = terms[:, :half] + terms[:, half : 2 * half]
        if width % 2:
            folded[:, 0] += terms[:, -1]
        terms = folded
    return terms[:, 0]
