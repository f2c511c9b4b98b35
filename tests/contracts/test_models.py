"""What every family of models promises, whatever it is made of."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy.sparse import csr_matrix
from torch import nn

from tests.train.histories import histories_of
from train.data.told import Told
from train.families import fit_family
from train.loop import FitConfig
from train.models.base import Examples, Model, NeuralModel, SequenceModel, VectorModel
from train.models.ensemble import EnsembleConfig, MemberConfig
from train.models.quantised import to_int8
from train.models.registered import FAMILIES, ModelConfig, build_model, describe_model
from train.session import new_model
from train.training_set import TrainingSet
from train.validation import ValidationSet
from train.workers import WorkersConfig

RINGS, RING = 4, 6
COLD = RINGS * RING  # listed, never bought
NOBODY = np.empty(0, dtype=np.int64)
BLIND = {"popularity", "personal_top"}  # to what follows what
SMALL = {"embedding_dim": 16, "max_length": 10, "feedforward_dim": 16, "hidden_dim": 32, "max_neighbours": 20}
TRAINING = FitConfig(epochs=12, learning_rate=2e-2, warmup_steps=3, negatives=32, batch_tokens=300, seed=1)
EVERY = pytest.mark.parametrize("kind", list(FAMILIES))
NEURAL = pytest.mark.parametrize("kind", [kind for kind, (one, _) in FAMILIES.items() if issubclass(one, NeuralModel)])
SEQUENCE = pytest.mark.parametrize(
    "kind", [kind for kind, (one, _) in FAMILIES.items() if issubclass(one, SequenceModel)]
)


@dataclass(frozen=True)
class Ring:
    """Shoppers who stay in one ring of items and buy item i + 1 after item i."""

    data: TrainingSet
    asked: ValidationSet


@cache
def ring() -> Ring:
    rng = np.random.default_rng(0)
    rings, starts = np.arange(160) % RINGS, rng.integers(RING, size=160)
    walks = [
        (ring_ * RING + (start + np.arange(5)) % RING).tolist() for ring_, start in zip(rings, starts, strict=True)
    ]
    ring_of = np.append(np.arange(COLD) // RING, 0)
    attributes = csr_matrix((np.ones(COLD + 1, np.float32), (np.arange(COLD + 1), ring_of)), shape=(COLD + 1, RINGS))
    data = TrainingSet(
        train=histories_of([walk[:4] for walk in walks]), n_items=COLD + 1, attributes=attributes,
        texts=tuple(f"ring{ring} thing{item}" for item, ring in enumerate(ring_of)),
    )  # fmt: skip
    asked = ValidationSet(
        histories=[np.array(walk[:4]) for walk in walks], truths=[np.array(walk[4:]) for walk in walks],
        filter_seen=True,
    )  # fmt: skip
    return Ring(data, asked)


def settings(kind: str) -> ModelConfig:
    config_class = FAMILIES[kind][1]
    if config_class is EnsembleConfig:
        members = [MemberConfig.checked({"model": settings(one)}) for one in ("transformer", "factorization")]
        return EnsembleConfig(members=tuple(members))
    known = {name: value for name, value in SMALL.items() if name in config_class.model_fields}
    return cast(ModelConfig, config_class.checked(known))


def fit(kind: str, data: TrainingSet, seed: int, epochs: int = 2) -> Model:
    training = TRAINING.model_copy(update={"seed": seed, "epochs": epochs})
    with tempfile.TemporaryDirectory() as place:
        return fit_family(settings(kind), training, data, Path(place), WorkersConfig(workers=0)).model


@cache
def fitted(kind: str) -> Model:
    return fit(kind, ring().data, seed=1, epochs=TRAINING.epochs)


HISTORIES = [np.array([0, 1, 2]), np.array([7]), NOBODY, np.array([23, 18, 19, 20, 21, 22, 23])]


@EVERY
def test_every_item_has_a_finite_score_for_every_history(kind: str) -> None:
    model = fitted(kind)
    scores = model.scores(HISTORIES)
    assert scores.shape == (len(HISTORIES), model.n_items) == (4, COLD + 1)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


@EVERY
def test_a_model_with_vectors_scores_by_their_inner_product(kind: str) -> None:
    model = fitted(kind)
    if not isinstance(model, VectorModel):
        pytest.skip("no vectors")
    users, items = model.encode_histories(HISTORIES), model.item_vectors().detach().numpy()
    assert users.shape == (len(HISTORIES), model.embedding_dim)
    assert items.shape == (model.n_items, model.embedding_dim)
    assert users.dtype == items.dtype == np.float32
    np.testing.assert_allclose(users @ items.T, model.scores(HISTORIES), rtol=1e-4, atol=1e-5)


@EVERY
def test_the_same_seed_gives_the_same_scores(kind: str) -> None:
    first, again = (fit(kind, ring().data, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.scores(HISTORIES), again.scores(HISTORIES))


@NEURAL
def test_another_seed_gives_other_scores(kind: str) -> None:
    first, other = (fit(kind, ring().data, seed) for seed in (7, 8))
    assert not np.allclose(first.scores(HISTORIES), other.scores(HISTORIES))


@EVERY
def test_a_saved_model_answers_as_before(kind: str) -> None:
    model = fitted(kind)
    saved = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    rebuilt = build_model(describe_model(model), load(saved))
    assert rebuilt.n_items == model.n_items
    np.testing.assert_array_equal(rebuilt.scores(HISTORIES), model.scores(HISTORIES))


@EVERY
def test_in_eight_bits_it_says_nearly_the_same_and_answers_so_once_saved(kind: str) -> None:
    model, small = fitted(kind), copy.deepcopy(fitted(kind))
    for layer in (nn.Linear, nn.Embedding):
        to_int8(small, layer)
    saved = save({name: tensor.contiguous() for name, tensor in small.state_dict().items()})
    rebuilt = build_model(describe_model(small), load(saved))
    expected, found = model.scores(HISTORIES), rebuilt.scores(HISTORIES)
    np.testing.assert_array_equal(found, small.scores(HISTORIES))
    assert np.abs(found - expected).max() <= 0.05 * np.ptp(expected)
    held = isinstance(model, NeuralModel) or kind == "ensemble"
    assert any(tensor.dtype == torch.int8 for tensor in load(saved).values()) is held


@EVERY
def test_a_history_is_scored_alike_alone_and_beside_others(kind: str) -> None:
    model = fitted(kind)
    together = model.scores(HISTORIES)
    alone = np.concatenate([model.scores([history]) for history in HISTORIES])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


@EVERY
def test_items_born_after_training_are_left_out_of_a_history(kind: str) -> None:
    model = fitted(kind)
    np.testing.assert_allclose(
        model.scores([np.array([2, 99, 3, 100])]), model.scores([np.array([2, 3])]), rtol=1e-4, atol=1e-5
    )


@EVERY
def test_a_history_of_a_thousand_items_is_scored(kind: str) -> None:
    assert np.isfinite(fitted(kind).scores([np.arange(1_000) % COLD])).all()


@EVERY
def test_a_catalogue_of_one_item_is_fitted_and_scored(kind: str) -> None:
    one = TrainingSet(
        train=histories_of([[0, 0, 0], [0, 0]]), n_items=1, attributes=csr_matrix(np.ones((1, 1), np.float32)),
        texts=("the only thing",),
    )  # fmt: skip
    scores = fit(kind, one, seed=1).scores([np.array([0]), NOBODY])
    assert scores.shape == (2, 1)
    assert np.isfinite(scores).all()


@EVERY
def test_a_catalogue_of_which_nothing_else_is_known_is_fitted(kind: str) -> None:
    bare = TrainingSet(train=ring().data.train, n_items=COLD + 1)
    assert np.isfinite(fit(kind, bare, seed=1).scores(HISTORIES)).all()


@NEURAL
def test_the_gradient_reaches_every_parameter(kind: str) -> None:
    model = new_model(settings(kind), ring().data, seed=1).train()
    item_idx = torch.tensor([[0, 1, 2, 3, 4], [-1, -1, 6, 7, 8], [-1, 12, 13, 14, 15]] * 20)
    target = torch.where(item_idx >= 0, (item_idx + 1) % COLD, -1)
    torch.manual_seed(0)
    heard = (Told(moments=item_idx),) if model.hears else ()
    examples: Callable[..., Examples] = model.examples
    hidden, wanted, weight, penalty = examples(item_idx, target, torch.ones(item_idx.shape), *heard)
    assert len(hidden) == len(wanted) == len(weight) > 0
    positive, negative = model.logits(hidden, wanted, torch.arange(model.n_items))
    (negative.logsumexp(1) - positive + penalty).sum().backward()
    parameters: dict[str, Any] = dict(model.named_parameters())
    assert not [name for name, parameter in parameters.items() if parameter.grad is None]
    assert not [name for name, parameter in parameters.items() if not parameter.grad.abs().sum() > 0]


@SEQUENCE
def test_a_position_sees_nothing_that_came_later(kind: str) -> None:
    model = cast(SequenceModel, fitted(kind)).eval()
    one, other = model.hidden(torch.tensor([[4, 7, 1, 2]])), model.hidden(torch.tensor([[4, 7, 9, 11]]))
    torch.testing.assert_close(one[:, :2], other[:, :2])
    assert not torch.allclose(one[:, 2:], other[:, 2:])


@SEQUENCE
def test_padding_on_the_left_changes_no_position(kind: str) -> None:
    model = cast(SequenceModel, fitted(kind)).eval()
    plain, padded = model.hidden(torch.tensor([[4, 7, 1]])), model.hidden(torch.tensor([[-1, -1, 4, 7, 1]]))
    torch.testing.assert_close(padded[:, 2:], plain, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.encode(torch.tensor([[4, 7, 1]])), plain[:, -1], rtol=1e-4, atol=1e-5)


@EVERY
def test_what_follows_is_learned_better_than_popularity_can(kind: str) -> None:
    if kind in BLIND:
        pytest.skip("blind to what follows what")
    popular = np.bincount(ring().data.train.item_idx, minlength=COLD + 1).astype(np.float32)
    assert ring().asked.ndcg(fitted(kind)) > 2 * ring().asked.ndcg(Fixed(popular))


class Fixed(Model):
    """The same scores for everyone."""

    def __init__(self, fixed: np.ndarray) -> None:
        self.fixed, self.n_items = fixed, len(fixed)

    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.repeat(self.fixed[None], len(histories), axis=0)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {}

    @classmethod
    def from_state(cls, config: None, state: dict[str, torch.Tensor]) -> "Fixed":
        raise NotImplementedError
