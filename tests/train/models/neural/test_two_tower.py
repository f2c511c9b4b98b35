"""Traits beside a history: heard by the model, and able to speak for a shopper without one."""

import numpy as np
import pytest
import torch
from torch import Tensor

from train.models.neural.two_tower import TwoTower, TwoTowerConfig

N_ITEMS, N_TRAITS = 9, 4
ITEMS = torch.tensor([[-1, 1, 2, 3], [4, 5, 6, 7]] * 8)
TRAITS = torch.tensor([[1.0, 0, 0, 0.5], [0, 1.0, 0, 0]] * 8)


def listening(history_dropout: float = 0.0) -> TwoTower:
    torch.manual_seed(0)
    config = TwoTowerConfig(
        embedding_dim=8, hidden_dim=8, max_length=6, dropout=0, embedding_dropout=0, history_dropout=history_dropout
    )
    model = TwoTower(config, N_ITEMS)
    model.listen(N_TRAITS)
    return model


def same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-6)


def test_the_gradient_reaches_traits_and_everything_else() -> None:
    model = listening(history_dropout=0.5).train()
    target = (ITEMS + 1) % N_ITEMS
    hidden, wanted, weight, _ = model.examples(ITEMS, target, torch.ones(ITEMS.shape), TRAITS)
    positive, negative = model.logits(hidden, wanted, torch.arange(N_ITEMS))
    ((negative.logsumexp(1) - positive) * weight).sum().backward()
    silent = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert silent == []


def test_traits_change_what_a_model_expects_and_unknown_ones_change_nothing() -> None:
    model = listening().eval()
    plain = model.encode(ITEMS)
    assert same(model.encode(ITEMS, torch.zeros_like(TRAITS)), plain)
    assert not same(model.encode(ITEMS, TRAITS), plain)


def test_a_hidden_history_leaves_traits_alone_to_speak() -> None:
    model = listening(history_dropout=1.0).train()
    nothing = torch.full_like(ITEMS, -1)
    assert same(model.encode(ITEMS, TRAITS), model.encode(nothing, TRAITS))
    assert not same(model.encode(ITEMS, torch.zeros_like(TRAITS)), model.encode(nothing, torch.zeros_like(TRAITS)))


@pytest.mark.parametrize("traits", [None, TRAITS[:2].numpy()])
def test_histories_are_encoded_with_their_own_traits_whatever_their_order(traits: np.ndarray | None) -> None:
    model, histories = listening().eval(), [np.array([4, 5, 6, 7]), np.array([1])]
    together = model.encode_histories(histories, traits, batch_size=1)
    alone = [
        model.encode_histories([history], None if traits is None else traits[[row]])
        for row, history in enumerate(histories)
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
