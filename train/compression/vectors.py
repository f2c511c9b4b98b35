"""Item vectors in fewer bytes, by FAISS's quantisers; train/models/packed.py reads them without it."""

from typing import Literal

import faiss
import numpy as np

from cluster.errors import ConfigError
from train.models.packed import Packed

VectorKind = Literal["float32", "float16", "sq8", "pq"]
CENTROIDS, LEVELS = 256, 255


def pack_vectors(vectors: np.ndarray, kind: VectorKind, code_bytes: int | None) -> Packed:
    """Return vectors (n_items, d) float32 packed as `kind`, not float32; `code_bytes` is for pq, by default d / 2."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if kind == "float16":
        if np.abs(rows).max(initial=0) > np.finfo(np.float16).max:
            raise ConfigError("vectors=float16 cannot hold coordinates beyond 65,504; take vectors=sq8")
        return {"half": rows.astype(np.float16)}
    return scalar_codes(rows) if kind == "sq8" else product_codes(rows, code_bytes)


def scalar_codes(rows: np.ndarray) -> Packed:
    """Return each coordinate as one of 256 levels between the least and the greatest that any item has there."""
    d = rows.shape[1]
    quantiser = faiss.ScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit)
    quantiser.train(rows)
    least, width = faiss.vector_to_array(quantiser.trained).reshape(2, d)
    step = width / LEVELS
    return {"codes": quantiser.compute_codes(rows), "low": least + step / 2, "step": step}


def product_codes(rows: np.ndarray, code_bytes: int | None) -> Packed:
    """Return each stretch of d / code_bytes coordinates as the number of the nearest of 256 (Jégou et al., 2011)."""
    n_items, d = rows.shape
    m = code_bytes or max(1, d // 2)
    if d % m:
        fitting = ", ".join(str(size) for size in range(1, d + 1) if d % size == 0)
        raise ConfigError(f"code_bytes={m} does not divide vectors of {d} coordinates; take one of {fitting}")
    if n_items < CENTROIDS:
        raise ConfigError(f"vectors=pq needs {CENTROIDS} items to learn from, not {n_items}; take vectors=sq8")
    quantiser = faiss.ProductQuantizer(d, m, 8)
    quantiser.cp.min_points_per_centroid = 1  # else it warns below 39, on the terminal
    quantiser.train(rows)
    centroids = faiss.vector_to_array(quantiser.centroids).reshape(m, CENTROIDS, d // m)
    return {"codes": quantiser.compute_codes(rows), "centroids": centroids}
