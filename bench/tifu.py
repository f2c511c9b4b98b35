"""TIFU-KNN with the settings that do best on validation orders."""

from typing import Any

import numpy as np

from train.data.schema import Interactions, Queries
from train.models.closed_form.tifu_knn import TifuKnn, TifuKnnConfig
from train.models.shopper import history_of
from train.training_set import TrainingSet
from train.validation import ndcg_of

K = 10
CHUNK = 256
# One setting after the other is moved to its best value, in this order.
VALUES: dict[str, tuple[Any, ...]] = {
    "own_share": (0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
    "groups": (1, 3, 7, 15, 30),
    "within_decay": (0.6, 0.8, 0.9, 0.95, 1.0),
    "between_decay": (0.3, 0.5, 0.7, 0.9, 1.0),
    "max_neighbours": (50, 100, 300, 900),
}
ROUNDS = 2


def best_tifu(data: TrainingSet, history: Interactions, valid: Queries) -> TifuKnn:
    """Return the fitted model whose lists are best on the queries `valid`."""
    scored: dict[TifuKnnConfig, float] = {}
    best = TifuKnnConfig()
    for name, value in [(name, value) for _ in range(ROUNDS) for name, values in VALUES.items() for value in values]:
        for config in (best, best.model_copy(update={name: value})):
            if config not in scored:
                scored[config] = ndcg(TifuKnn.fit(config, data, 0), history, valid)
        best = max(scored, key=lambda config: scored[config])
    return TifuKnn.fit(best, data, 0)


def ndcg(model: TifuKnn, history: Interactions, queries: Queries) -> float:
    """Return the mean NDCG of the model's lists, nothing left out."""
    asked = [history_of(history, int(user), int(cut)) for user, cut in zip(queries.user_idx, queries.cut, strict=True)]
    total = 0.0
    for start in range(0, len(asked), CHUNK):
        chunk = asked[start : start + CHUNK]
        scores = model.scores([one.item_idx for one in chunk], [one.order_idx for one in chunk])
        nearest = np.argpartition(-scores, min(K, scores.shape[1]) - 1, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, nearest, axis=1), axis=1)
        lists = np.take_along_axis(nearest, order, axis=1)
        total += sum(ndcg_of(ranked, queries.truth_of(start + row)) for row, ranked in enumerate(lists))
    return total / max(len(asked), 1)
