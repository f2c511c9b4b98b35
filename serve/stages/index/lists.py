"""Lists of items that lie together, learned from their vectors, and codes that take the vectors' place in them."""

from typing import Any

import faiss
import numpy as np

from serve.stages.index.config import Kind

LISTS_PER_ROOT = 2  # lists = this × √n_items
TRAINED_ON = 32  # vectors per list that the centres are learned from
ROUNDS = 8  # of k-means
CODED_ON = 16_384  # vectors that codes are learned from


def trained(vectors: np.ndarray, kind: Kind) -> tuple[Any, int]:
    """Return a FAISS index by inner product that holds vectors (n_items, d), and how many lists it has.

    An item lies in the list whose centre is nearest to it, which keeps lists short whatever the items' lengths; a
    search reads the lists whose centres have the highest inner product with the query. FAISS by itself takes the inner
    product for both: that puts most items into the lists of a few long centres.
    """
    d = vectors.shape[1]
    if kind == "card":
        index, n_lists = faiss.IndexFlatIP(d), 1
        index.add(vectors)
        return index, n_lists
    n_lists = int(LISTS_PER_ROOT * np.sqrt(len(vectors)))
    rng = np.random.default_rng(0)
    sample = vectors[rng.choice(len(vectors), min(len(vectors), TRAINED_ON * n_lists), replace=False)]
    centres, by_product = faiss.IndexFlatL2(d), faiss.IndexFlatIP(d)
    clustering = faiss.Clustering(d, n_lists)
    clustering.niter, clustering.min_points_per_centroid = ROUNDS, 1
    clustering.train(sample, centres)
    by_product.add(centres.reconstruct_n(0, n_lists))
    index = _coded(centres, d, n_lists, kind)
    # A byte spans the range of what it was trained on: beyond it lie the longest items, which are found most often.
    extremes = np.stack((vectors.min(axis=0), vectors.max(axis=0)))
    index.train(extremes if kind == "ivf" else sample[:CODED_ON])
    index.add(vectors)
    index.quantizer = by_product
    index.referenced_objects = (by_product,)  # FAISS keeps a pointer alone
    return index, n_lists


def _coded(centres: Any, d: int, n_lists: int, kind: Kind) -> Any:
    metric = faiss.METRIC_INNER_PRODUCT
    if kind == "ivf":
        return faiss.IndexIVFScalarQuantizer(centres, d, n_lists, faiss.ScalarQuantizer.QT_8bit, metric, False)
    index = faiss.IndexIVFPQ(centres, d, n_lists, _parts(d), 8, metric)
    index.pq.cp.min_points_per_centroid = 1
    return index


def _parts(d: int) -> int:
    """Return into how many parts of equal width a vector is cut, about one for four coordinates."""
    return next(parts for parts in range(max(1, d // 4), 0, -1) if d % parts == 0)
