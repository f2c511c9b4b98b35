"""Fewer dimensions for vectors whose inner products are to stay what they are."""

from dataclasses import dataclass

import numpy as np

TINY = 1e-6  # of the largest eigenvalue; directions below it are noise of float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """One linear map for shoppers and one for items, from D to d dimensions."""

    shoppers: np.ndarray  # (D, d) float32
    items: np.ndarray  # (D, d) float32


def closest_projection(shoppers: np.ndarray, items: np.ndarray, dim: int) -> Projection:
    """Return the maps P, Q to d dimensions with the least Σ_u Σ_i (⟨h_u, h_i − h̄⟩ − ⟨h_u P, (h_i − h̄) Q⟩)².

    shoppers: (n, D) h_u; items: (n_items, D) h_i. A score that all items share ranks nothing, so h̄, the mean item, is
    left out. With L Lᵀ = mean of h_u h_uᵀ, shoppers h_u L⁻ᵀ are white, and the answer is the truncated singular value
    decomposition of (h_i − h̄) L (Eckart and Young, 1936).
    """
    white, root = _whitening(shoppers.T.astype(np.float64) @ shoppers / max(len(shoppers), 1))
    centred = (items - items.mean(axis=0)).astype(np.float64) @ root
    strength, directions = np.linalg.eigh(centred.T @ centred)
    strongest = directions[:, np.argsort(-strength)[:dim]]
    return Projection(
        shoppers=(white @ strongest).astype(np.float32), items=(root @ strongest).astype(np.float32)
    )  # fmt: skip


def _whitening(moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return W and L, (D, D): Wᵀ · moment · W is the identity where the moment has rank, and L Lᵀ is the moment."""
    strength, directions = np.linalg.eigh(moment)
    kept = strength > TINY * max(strength.max(), 1e-30)
    length = np.sqrt(np.where(kept, strength, 0))
    return directions * np.divide(1, length, out=np.zeros_like(length), where=kept), directions * length
