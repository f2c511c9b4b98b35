"""Item embeddings before the first step: what is bought close together starts close together."""

import numpy as np
from scipy.sparse import csr_matrix, diags_array, identity
from scipy.sparse.linalg import eigsh

from train.data.schema import Interactions

WINDOW, DECAY, IDENTITY = 10, 0.8, 0.2
MOST_PAIRS = 2**25
NORM, NOISE = 0.5, 0.02
DENSE_ITEMS = 1_000  # below, all eigenvectors at once take a moment and always converge
TOLERANCE = 1e-2  # of eigenvalues; closer ones make no better start and cost a third more


def svd_embeddings(interactions: Interactions, n_items: int, embedding_dim: int, seed: int) -> np.ndarray:
    """Return (n_items, d) float32 from a truncated SVD of the normalised co-occurrence matrix plus 0.2 times identity.

    Rows have length about 0.5; an item without neighbours keeps a random direction. Same seed, same result.
    """
    rng = np.random.default_rng(seed)
    matrix = normalised(cooccurrence(interactions, n_items)) + IDENTITY * identity(n_items, format="csr")
    rank = min(embedding_dim, n_items)
    left, strength = truncated_svd(matrix.tocsr(), rank, seed)
    vectors = np.zeros((n_items, embedding_dim))
    vectors[:, :rank] = left * np.sqrt(strength)
    vectors += 1e-6 * rng.standard_normal(vectors.shape)
    vectors *= NORM / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors + NOISE * rng.standard_normal(vectors.shape) / np.sqrt(embedding_dim)).astype(np.float32)


def cooccurrence(interactions: Interactions, n_items: int) -> csr_matrix:
    """Return symmetric counts of items within 10 rows of one history, each worth 0.8^(distance - 1).

    Of more than 3 million rows fewer distances count, so that the start takes no more memory than training.
    """
    total = csr_matrix((n_items, n_items), dtype=np.float64)
    for distance in range(1, min(WINDOW, max(1, MOST_PAIRS // max(1, len(interactions)))) + 1):
        same = interactions.user_idx[distance:] == interactions.user_idx[:-distance]
        earlier, later = interactions.item_idx[:-distance][same], interactions.item_idx[distance:][same]
        worth = np.full(len(earlier), DECAY ** (distance - 1))
        total = total + csr_matrix((worth, (earlier, later)), shape=total.shape)
    return (total + total.T).tocsr()


def normalised(counts: csr_matrix) -> csr_matrix:
    """Return D^-½ · counts · D^-½, where D holds the row sums."""
    sums = np.asarray(counts.sum(axis=1)).ravel()
    scale = diags_array(np.divide(1, np.sqrt(sums), out=np.zeros_like(sums), where=sums > 0))
    return csr_matrix(scale @ counts @ scale)


def truncated_svd(matrix: csr_matrix, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return left singular vectors (n, rank) and singular values (rank,) of a symmetric matrix, largest values first.

    Eigenvectors by Lanczos' method, since for a symmetric matrix they are the singular vectors.
    """
    n_items = len(matrix.diagonal())
    if n_items <= DENSE_ITEMS:
        values, vectors = np.linalg.eigh(matrix.toarray())
    else:
        start = np.random.default_rng(seed).standard_normal(n_items).astype(np.float32)
        values, vectors = eigsh(matrix.astype(np.float32), rank, v0=start, tol=TOLERANCE)
    largest = np.argsort(-np.abs(values))[:rank]
    return vectors[:, largest], np.abs(values)[largest]
