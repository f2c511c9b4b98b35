"""From fitted members to an ensemble: weighed on validation, and projected where fewer dimensions are wanted."""

from collections.abc import Sequence

import numpy as np

from train.models.base import VectorModel
from train.models.ensemble import Ensemble, EnsembleConfig
from train.models.projection import closest_projection
from train.training_set import TrainingSet
from train.weighing import likeliest_weights

SHOPPERS = 10_000  # whose vectors say where scores must stay what they are


def joined(config: EnsembleConfig, members: Sequence[VectorModel], data: TrainingSet, seed: int) -> Ensemble:
    """Return the ensemble of fitted members; its settings hold the weights, so that a refit need not choose again.

    Without weights and without validation, all members weigh the same.
    """
    if config.weights is None and data.valid is not None:
        config = config.model_copy(update={"weights": likeliest_weights(members, data.valid)})
    ensemble = Ensemble(config, members)
    if config.dim is None or config.dim >= ensemble.embedding_dim:
        return ensemble
    users = np.random.default_rng(seed).permutation(data.train.n_users)[:SHOPPERS]
    shoppers = ensemble.encode_histories([data.train.items_of(int(user)) for user in users])
    return Ensemble(config, members, closest_projection(shoppers, ensemble.item_vectors().numpy(), config.dim))
