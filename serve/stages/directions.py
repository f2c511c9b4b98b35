"""Directions: vectors at length 1, whose inner products are cosines."""

import numpy as np

LEAST_LENGTH = 1e-12  # of a vector that has a direction


def directions(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (n, d) at length 1; one without a direction stays as it is."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), LEAST_LENGTH)
