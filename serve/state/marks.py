"""Marks: whom the log says anything of, so that nobody need ask the store about everybody else."""

from zlib import crc32

import numpy as np

N_BYTES = 2**20  # 1 % of others are taken for marked beside 800,000 marked, and a tenth beside two million
N_PLACES = 4  # bits of a mark
SALT = 0x9E3779B9


class Marks:
    """A Bloom filter of user ids (Bloom, 1970; two hashes make all places: Kirsch and Mitzenmacher, 2006).

    Whoever is in it was marked, or is taken for it, at the price of a question; who is not was never.
    """

    def __init__(self) -> None:
        self._bits = bytearray(N_BYTES)

    def add(self, user_id: str) -> None:
        """Mark somebody."""
        for place in _places(user_id):
            self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, user_id: str) -> bool:
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in _places(user_id))

    def to_array(self) -> np.ndarray:
        """Return a copy, (N_BYTES,) uint8."""
        return np.frombuffer(bytes(self._bits), np.uint8)

    def restore(self, array: np.ndarray) -> None:
        """Go back to what `to_array` returned."""
        self._bits[:] = array.tobytes()


def _places(user_id: str) -> tuple[int, ...]:
    content = user_id.encode()
    first, step = crc32(content), crc32(content, SALT) | 1
    return tuple((first + number * step) % (8 * N_BYTES) for number in range(N_PLACES))
