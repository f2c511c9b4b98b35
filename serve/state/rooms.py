"""Memory for arrays over items, with room to spare: a new item costs no copy of all."""

import numpy as np
from scipy.sparse import csr_matrix

SPARE = 1_024  # rows at least, beyond an eighth


class Rooms:
    """The arrays' memory by name; the arrays themselves are its first rows, bound anew when their number changes."""

    def __init__(self) -> None:
        self._rooms: dict[str, np.ndarray] = {}

    def resized(self, name: str, rows: np.ndarray, n: int) -> np.ndarray:
        """Return n rows: the given ones, in memory of ours, and zeros behind them."""
        room = self._rooms.get(name)
        if room is None or len(room) < n:
            room = self._rooms[name] = np.empty((n + n // 8 + SPARE, *rows.shape[1:]), rows.dtype)
            room[: min(n, len(rows))] = rows[:n]
        room[len(rows) : n] = 0
        return room[:n]


def padded_rows(matrix: csr_matrix, n: int) -> csr_matrix:
    """Return a matrix of n rows or more: the given ones, and empty ones behind them."""
    height, width = matrix.get_shape()
    if height >= n:
        return matrix
    spare = n + n // 8 + SPARE
    indptr = np.concatenate((matrix.indptr, np.full(spare - height, matrix.indptr[-1], matrix.indptr.dtype)))
    return csr_matrix((matrix.data, matrix.indices, indptr), shape=(spare, width))
