"""Dropout keeps the mean, drops the share that it should, and leaves answers alone."""

import pytest
import torch

from train.models.neural.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_the_asked_share_is_dropped_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    found = Dropout(rate)(torch.ones(1_000, 400))
    assert float((found == 0).float().mean()) == pytest.approx(rate, abs=0.004)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    assert len(found.unique()) == 2


def test_each_value_is_dropped_on_its_own() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(4_000, 64)) == 0).float()
    together = torch.corrcoef(dropped.T).fill_diagonal_(0)
    assert float(together.abs().max()) < 0.08


def test_the_same_seed_drops_the_same_values() -> None:
    ones = torch.ones(3, 5, 7)
    torch.manual_seed(4)
    first = Dropout(0.5)(ones)
    torch.manual_seed(4)
    assert torch.equal(first, Dropout(0.5)(ones))
    assert not torch.equal(first, Dropout(0.5)(ones))


def test_nothing_is_dropped_while_answering_or_at_rate_0() -> None:
    values = torch.randn(4, 6)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_half(dtype: torch.dtype) -> None:
    values = torch.ones(5, 3, dtype=dtype, requires_grad=True)
    found = Dropout(0.5)(values)
    found.sum().backward()
    assert found.dtype == dtype
    assert values.grad is not None
    assert torch.equal(values.grad, found)
