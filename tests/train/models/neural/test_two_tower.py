"""Traits and moments beside a history: heard by the model, and able to speak for a shopper without one."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from train.data.told import DAYS, HOURS, NO_MOMENT, NOTHING, Told
from train.models.neural.two_tower import TwoTower, TwoTowerConfig

N_ITEMS, N_TRAITS = 9, 4
ITEMS = torch.tensor([[-1, 1, 2, 3], [4, 5, 6, 7]] * 8)
TRAITS = torch.tensor([[1.0, 0, 0, 0.5], [0, 1.0, 0, 0]] * 8)
WEEK = torch.arange(HOURS * DAYS)


def listening(history_dropout: float = 0.0, moment_dropout: float = 0.0) -> TwoTower:
    torch.manual_seed(0)
    config = TwoTowerConfig(
        embedding_dim=8, hidden_dim=8, max_length=6, dropout=0, embedding_dropout=0,
        history_dropout=history_dropout, moment_dropout=moment_dropout,
    )  # fmt: skip
    model = TwoTower(config, N_ITEMS)
    model.listen(N_TRAITS)
    for table in (model.moments.hour, model.moments.day):
        nn.init.normal_(table)
    return model


def same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-6)


def test_the_gradient_reaches_traits_moments_and_everything_else() -> None:
    model = listening(history_dropout=0.5).train()
    target = (ITEMS + 1) % N_ITEMS
    hidden, wanted, weight, _ = model.examples(ITEMS, target, torch.ones(ITEMS.shape), Told(TRAITS, ITEMS.clamp(min=0)))
    positive, negative = model.logits(hidden, wanted, torch.arange(N_ITEMS))
    ((negative.logsumexp(1) - positive) * weight).sum().backward()
    silent = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert silent == []


def test_traits_change_what_a_model_expects_and_unknown_ones_change_nothing() -> None:
    model = listening().eval()
    plain = model.encode(ITEMS)
    assert same(model.encode(ITEMS, Told(torch.zeros_like(TRAITS))), plain)
    assert not same(model.encode(ITEMS, Told(TRAITS)), plain)


def test_a_hidden_history_leaves_traits_alone_to_speak() -> None:
    model = listening(history_dropout=1.0).train()
    nothing = torch.full_like(ITEMS, -1)
    assert same(model.encode(ITEMS, Told(TRAITS)), model.encode(nothing, Told(TRAITS)))
    assert not same(
        model.encode(ITEMS, Told(torch.zeros_like(TRAITS))), model.encode(nothing, Told(torch.zeros_like(TRAITS)))
    )


def test_each_hour_and_each_day_changes_what_is_expected_and_no_moment_changes_nothing() -> None:
    model = listening().eval()
    at_each = model.encode(ITEMS[:1].expand(len(WEEK), -1), Told(moments=WEEK))
    assert len(at_each.unique(dim=0)) == len(WEEK)
    never = Told(moments=torch.full((len(ITEMS),), NO_MOMENT))
    assert same(model.encode(ITEMS, never), model.encode(ITEMS))


def test_training_keeps_moments_back_as_often_as_it_shall() -> None:
    model = listening(moment_dropout=1.0)
    moments = Told(moments=torch.arange(len(ITEMS)))
    assert same(model.train().encode(ITEMS, moments), model.encode(ITEMS))
    assert not same(model.eval().encode(ITEMS, moments), model.encode(ITEMS))


def test_weights_from_before_moments_say_nothing_of_them() -> None:
    model = listening().eval()
    old = {name: weight for name, weight in model.state_dict().items() if not name.startswith("moments.")}
    again = TwoTower(model.config, N_ITEMS).eval()
    again.load_state_dict(old)
    assert same(again.encode(ITEMS, Told(moments=torch.arange(len(ITEMS)))), model.encode(ITEMS))


@pytest.mark.parametrize("told", [NOTHING, Told(TRAITS[:2].numpy()), Told(moments=np.array([5, 77]))])
def test_histories_are_encoded_with_what_is_told_of_them_whatever_their_order(told: Told[np.ndarray]) -> None:
    model, histories = listening().eval(), [np.array([4, 5, 6, 7]), np.array([1])]
    together = model.encode_histories(histories, told, batch_size=1)
    alone = [
        model.encode_histories([history], told.each(lambda part, row=row: part[[row]]))
        for row, history in enumerate(histories)
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
