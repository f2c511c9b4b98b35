"""Layers in eight bits say what a slow rounding by hand says, and nearly what they said before."""

import pytest
import torch
from torch import nn

from train.models.neural.int8 import Int8Embedding, Int8Linear, rounded

LARGE, SMALL = (512, 256), (64, 128)  # outputs and inputs of layers that compute in int8, and in float32


def made(shape: tuple[int, int]) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(shape[1], shape[0])


def test_a_large_layer_multiplies_rounded_rows() -> None:
    layer, x = made(LARGE), torch.randn(7, LARGE[1]).double()
    weight = layer.weight.detach().double()
    steps = [matrix.abs().amax(1, keepdim=True) / 127 for matrix in (x, weight)]
    expected = ((x / steps[0]).round() * steps[0]) @ ((weight / steps[1]).round() * steps[1]).T + layer.bias.double()
    found = Int8Linear.of(layer)(x.float())
    # Where float32 and float64 round a half to different sides, one step of one weight is between them.
    assert (found - expected).abs().median() < 1e-6
    torch.testing.assert_close(found.double(), expected, atol=5e-3, rtol=0)


def test_a_small_layer_multiplies_rounded_weights_alone() -> None:
    layer, x = Int8Linear.of(made(SMALL)), torch.randn(7, SMALL[1])
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("shape", [LARGE, SMALL])
def test_it_is_near_to_the_layer_in_float32(shape: tuple[int, int]) -> None:
    layer, x = made(shape), torch.randn(3, 50, shape[1])
    found, expected = Int8Linear.of(layer)(x), layer(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()


@pytest.mark.parametrize("shape", [LARGE, SMALL])
def test_weights_that_are_loaded_are_those_that_answer(shape: tuple[int, int]) -> None:
    layer, other = Int8Linear.of(made(shape)), Int8Linear(torch.randn(shape), torch.zeros(shape[0]))
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, shape[1])
    assert torch.equal(other(x), layer(x))
    assert {name: tensor.dtype for name, tensor in layer.state_dict().items()} == {
        "rows": torch.int8, "scale": torch.float32, "bias": torch.float32
    }  # fmt: skip


def test_a_row_is_rounded_alike_whatever_is_beside_it() -> None:
    layer, x = Int8Linear.of(made(LARGE)), torch.randn(6, LARGE[1]) * torch.logspace(-3, 3, 6)[:, None]
    assert torch.equal(layer(x), torch.cat([layer(row[None]) for row in x]))


@pytest.mark.parametrize("shape", [LARGE, SMALL])
def test_zeros_give_the_bias_or_zeros_without_one(shape: tuple[int, int]) -> None:
    layer, x = made(shape), torch.zeros(3, shape[1])
    assert torch.equal(Int8Linear.of(layer)(x), layer.bias.detach().expand(3, -1))
    assert torch.equal(Int8Linear(layer.weight, None)(x), torch.zeros(3, shape[0]))


def test_rows_of_zeros_stay_zeros() -> None:
    assert torch.equal(Int8Embedding.of(nn.Embedding.from_pretrained(torch.zeros(2, 3))).weight, torch.zeros(2, 3))


def test_no_value_is_off_by_more_than_half_a_step_of_its_row() -> None:
    x = torch.randn(100, 32) * torch.logspace(-6, 6, 100)[:, None]
    rows, scale = rounded(x)
    assert rows.dtype == torch.int8
    assert ((rows * scale - x).abs() <= 0.5001 * scale).all()
    assert (rows.abs().amax(1) == 127).all()


def test_an_embedding_looks_up_the_rows_of_its_weight() -> None:
    layer = Int8Embedding.of(nn.Embedding(10, 4))
    index = torch.tensor([[3, 3], [0, 9]])
    assert torch.equal(layer(index), layer.weight[index])
    assert layer.embedding_dim == 4
