"""The metric between epochs is NDCG@10 over every item, however many workers share the queries."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.train.histories import histories_of
from train.data.split import SplitConfig, make_split
from train.models.base import SequenceModel
from train.validation import ValidationSet, ndcg_of


class Countdown(SequenceModel):
    """Scores item i with −i, whatever the history."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.n_items, self.embedding_dim, self.max_length = n_items, 1, 5
        self.scale = torch.nn.Parameter(torch.ones(1))

    @classmethod
    def from_state(cls, config: None, state: dict[str, Tensor]) -> "Countdown":
        raise NotImplementedError

    def hidden(self, item_idx: Tensor) -> Tensor:
        return torch.ones(*item_idx.shape, 1)

    def item_vectors(self) -> Tensor:
        return -torch.arange(self.n_items, dtype=torch.float32).unsqueeze(1)


def test_ndcg_is_the_gain_over_the_best_possible_gain() -> None:
    ranked = np.array([4, 1, 7])
    assert ndcg_of(ranked, np.array([4])) == 1
    assert ndcg_of(ranked, np.array([1])) == pytest.approx(1 / np.log2(3))
    assert ndcg_of(ranked, np.array([7, 4])) == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3)))
    assert ndcg_of(ranked, np.array([9])) == 0


@pytest.mark.parametrize(("filter_seen", "expected"), [(False, 1 / np.log2(4)), (True, 1 / np.log2(3))])
def test_seen_items_leave_the_list_when_asked(filter_seen: bool, expected: float) -> None:
    valid = ValidationSet(histories=[np.array([0, 3])], truths=[np.array([2])], filter_seen=filter_seen)
    assert valid.ndcg(Countdown(6)) == pytest.approx(expected)


def test_the_mean_is_over_queries() -> None:
    histories = [np.array([5])] * 300
    valid = ValidationSet(histories=histories, truths=[np.array([0]), np.array([5])] * 150, filter_seen=True)
    assert valid.ndcg(Countdown(6)) == pytest.approx(0.5)


def test_no_sample_is_no_validation_and_not_a_mean_of_nothing() -> None:
    split = make_split(histories_of([[0, 1, 2], [3, 4]]), SplitConfig.parse(["split=leave_one_out"]), has_clock=False)
    assert ValidationSet.sample(split, 0, filter_seen=True, seed=0) is None
    assert ValidationSet.sample(split, 1, filter_seen=True, seed=0) is not None
