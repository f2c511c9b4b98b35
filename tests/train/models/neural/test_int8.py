"""Layers in eight bits say what a slow rounding by hand says, and nearly what they said before."""

import numpy as np
import pytest
import torch
from torch import nn

from train.models.neural.int8 import Int8Embedding, Int8Linear, rounded

SHAPES = pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (5, 3), (16, 64), (64, 512)])


def slow(layer: nn.Linear, x: torch.Tensor) -> np.ndarray:
    """Return what the layer says when every row of x and of the weight is rounded to 255 levels."""
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    answer = np.empty((len(x), len(weight)))
    for row, values in enumerate(x.double().numpy()):
        for column, weights in enumerate(weight):
            steps = [max(abs(values)) / 127, max(abs(weights)) / 127]
            answer[row, column] = sum(
                round(value / steps[0]) * steps[0] * round(weight / steps[1]) * steps[1]
                for value, weight in zip(values, weights, strict=True)
            )
    return answer + bias


@SHAPES
def test_a_product_is_that_of_the_rounded_rows(n_in: int, n_out: int) -> None:
    torch.manual_seed(n_in)
    layer, x = nn.Linear(n_in, n_out), torch.randn(7, n_in)
    expected = slow(layer, x)
    # Where float32 and float64 round a half to different sides, one step of one weight is between them.
    found = Int8Linear.of(layer)(x).detach().numpy()
    assert np.median(np.abs(found - expected)) < 1e-6
    np.testing.assert_allclose(found, expected, atol=0.02)


@SHAPES
def test_it_is_near_to_the_layer_in_float32(n_in: int, n_out: int) -> None:
    torch.manual_seed(n_out)
    layer, x = nn.Linear(n_in, n_out), torch.randn(3, 50, n_in)
    found, expected = Int8Linear.of(layer)(x), layer(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()


def test_a_row_is_rounded_alike_whatever_is_beside_it() -> None:
    layer, x = Int8Linear.of(nn.Linear(8, 4)), torch.randn(6, 8) * torch.logspace(-3, 3, 6)[:, None]
    assert torch.equal(layer(x), torch.cat([layer(row[None]) for row in x]))


def test_zeros_stay_zeros_and_give_the_bias() -> None:
    layer = nn.Linear(4, 2)
    assert torch.equal(Int8Linear.of(layer)(torch.zeros(3, 4)), layer.bias.detach().expand(3, 2))
    assert torch.equal(Int8Embedding.of(nn.Embedding.from_pretrained(torch.zeros(2, 3))).weight, torch.zeros(2, 3))


def test_without_a_bias_none_is_added() -> None:
    layer = nn.Linear(4, 2, bias=False)
    assert torch.equal(Int8Linear.of(layer)(torch.zeros(1, 4)), torch.zeros(1, 2))


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
