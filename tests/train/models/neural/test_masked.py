"""A gap is told from both of its sides, and a step weighs what its batch says."""

import torch

from train.models.neural.masked import Masked, MaskedConfig

CONFIG = MaskedConfig(embedding_dim=8, heads=2, max_length=6, feedforward_dim=8, masked_share=0.3)


def model() -> Masked:
    torch.manual_seed(0)
    return Masked(CONFIG, n_items=20).eval()


def test_a_gap_is_read_from_both_sides() -> None:
    reads, gaps = model(), torch.tensor([[False, False, True, False, False]])
    plain = reads._read(torch.tensor([[3, 4, 5, 6, 7]]), gaps)[:, 2]
    assert not torch.allclose(plain, reads._read(torch.tensor([[9, 4, 5, 6, 7]]), gaps)[:, 2])
    assert not torch.allclose(plain, reads._read(torch.tensor([[3, 4, 5, 6, 9]]), gaps)[:, 2])


def test_what_fills_a_gap_is_hidden_from_it() -> None:
    reads, gaps = model(), torch.tensor([[False, True, False]])
    torch.testing.assert_close(
        reads._read(torch.tensor([[3, 4, 5]]), gaps), reads._read(torch.tensor([[3, 9, 5]]), gaps)
    )


def test_gaps_are_known_items_and_weigh_together_what_the_batch_weighs() -> None:
    item_idx = torch.tensor([[-1, 1, 2, 3], [-1, -1, 5, 6]] * 50)
    target = torch.where(item_idx >= 0, item_idx + 1, -1)
    weight = (target >= 0).float() * 2
    torch.manual_seed(1)
    hidden, wanted, worth, _ = model().examples(item_idx, target, weight)
    assert len(hidden) == len(wanted) == len(worth)
    assert set(wanted.tolist()) == {1, 2, 3, 4, 5, 6, 7}
    torch.testing.assert_close(worth.sum(), weight.sum())
    share = (wanted == 4).sum() / 50  # the newest item is asked for in half of the rows, and at random in others
    assert 0.5 < share < 0.8
