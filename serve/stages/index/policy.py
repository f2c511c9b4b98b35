"""Which index a replica searches."""

import numpy as np

from serve.stages.index.approximate import ApproximateIndex
from serve.stages.index.card import n_cards
from serve.stages.index.config import IndexConfig
from serve.stages.index.exact import FlatIndex, Index
from serve.state.view import View
from train.bundle import Bundle
from train.models.shopper import history_of


def open_index(view: View, bundle: Bundle, config: IndexConfig) -> Index:
    """Return the index of a view's items by policy; an approximate one searches exactly until it is built."""
    kind = config.kind_for(view.items.n_items, n_cards())
    if kind == "flat":
        return FlatIndex(view.items)
    return ApproximateIndex(view.items, view.moves, shopper_vectors(bundle, config.queries), kind, config)


def shopper_vectors(bundle: Bundle, n: int) -> np.ndarray:
    """Return h_u (s, d) float32 of up to n of the bundle's shoppers; item vectors where it knows no histories."""
    rng = np.random.default_rng(0)
    known = np.flatnonzero(np.diff(bundle.histories.offsets))
    if not len(known):
        return rng.permutation(bundle.state.vectors)[:n]
    chosen = rng.permutation(known)[:n].tolist()
    return bundle.model.encode_shoppers([history_of(bundle.histories, user_idx) for user_idx in chosen])
