"""A pooled history is the weighted mean of its items, written slowly."""

import numpy as np
import torch

from train.models.neural.pooling import CausalPooling


def test_each_position_is_the_softmax_mean_of_what_came_before() -> None:
    torch.manual_seed(0)
    pooling = CausalPooling(4, 6)
    known = torch.tensor([[True, False, True, True]])
    x = torch.randn(1, 4, 4) * known.unsqueeze(-1)
    pooled = pooling(x, known)[0].detach().numpy()
    worth, recency = (x[0] @ pooling.worth.weight[0]).detach().numpy(), pooling.recency.detach().numpy()
    for t in range(4):
        items = [j for j in range(t + 1) if known[0, j]]
        weight = np.exp([worth[j] + recency[t - j] for j in items])
        expected = (weight[:, None] * x[0, items].numpy()).sum(axis=0) / weight.sum()
        np.testing.assert_allclose(pooled[t], expected, rtol=1e-4, atol=1e-6)


def test_nothing_before_the_first_item_is_zero() -> None:
    pooling, known = CausalPooling(4, 6), torch.tensor([[False, True]])
    assert not pooling(torch.ones(1, 2, 4) * known.unsqueeze(-1), known)[0, 0].any()
