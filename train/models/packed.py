"""Item vectors in fewer bytes: halves, a byte for each coordinate, or codes of a product quantiser."""

from collections.abc import Mapping

import numpy as np

from cluster.errors import BundleError

Packed = Mapping[str, np.ndarray]


def unpacked(packed: Packed) -> np.ndarray:
    """Return the vectors, (n_items, d) float32.

    One of: `half` (n, d) float16; `codes` (n, d) uint8, each coordinate low + code · step, with low and step (d,);
    `codes` (n, m) uint8, each the number of one of `centroids` (m, 256, d / m) float32 (Jégou et al., 2011).
    """
    if "half" in packed:
        vectors = packed["half"].astype(np.float32)
    elif "centroids" in packed:
        codes, centroids = packed["codes"], packed["centroids"]
        vectors = centroids[np.arange(codes.shape[1]), codes].reshape(len(codes), -1)
    else:
        vectors = packed["low"] + packed["codes"] * packed["step"]
    if vectors.ndim != 2 or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        raise BundleError(f"packed item vectors unpack to {vectors.dtype} {vectors.shape}, not to finite float32 rows")
    return vectors
