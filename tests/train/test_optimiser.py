"""A table's rows are moved as AdamW without a first moment moves them, and others are left alone."""

import copy

import pytest
import torch
from torch import nn

from train.optimiser import RowAdamW, clip_gradients, step_rows_alone

N_ROWS, WIDTH, RATE, DECAY, BETA2 = 12, 4, 0.05, 0.3, 0.9


def table(sparse: bool) -> nn.Embedding:
    made = nn.Embedding(N_ROWS, WIDTH, sparse=sparse)
    with torch.no_grad():
        made.weight.copy_(torch.randn(N_ROWS, WIDTH, generator=torch.Generator().manual_seed(1)))
    return made


def optimiser_of(module: nn.Module, beta1: float = 0.9) -> RowAdamW:
    return RowAdamW(module.parameters(), RATE, (beta1, BETA2), weight_decay=DECAY)


def pull(embedding: nn.Embedding, rows: list[int], factor: float) -> None:
    embedding.zero_grad()
    (factor * embedding(torch.tensor(rows)).sum()).backward()  # whatever the rows hold


def test_rows_that_every_step_touches_move_as_without_a_first_moment() -> None:
    ours, theirs = table(sparse=True), table(sparse=False)
    optimiser, reference = (
        optimiser_of(ours),
        torch.optim.AdamW(theirs.parameters(), RATE, (0.0, BETA2), weight_decay=DECAY),
    )
    for step in range(6):
        for embedding, mover in ((ours, optimiser), (theirs, reference)):
            pull(embedding, [*range(N_ROWS), 3, 3], 1 + step)
            mover.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_a_row_that_missed_steps_makes_up_for_their_decay() -> None:
    ours, theirs = table(sparse=True), table(sparse=False)
    optimiser, reference = (
        optimiser_of(ours),
        torch.optim.AdamW(theirs.parameters(), RATE, (0.0, BETA2), weight_decay=DECAY),
    )
    for rows in ([0, 1], [1], [2, 1], [1], [0, 1]):
        for embedding, mover in ((ours, optimiser), (theirs, reference)):
            pull(embedding, rows, 0.1)
            mover.step()
        for group in (*optimiser.param_groups, *reference.param_groups):
            group["lr"] *= 0.7
        torch.testing.assert_close(ours.weight[1], theirs.weight[1])
    torch.testing.assert_close(ours.weight[0], theirs.weight[0])
    assert torch.equal(ours.weight[5:], table(sparse=True).weight[5:])
    optimiser.settle()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_parameters_with_whole_gradients_move_as_under_adamw() -> None:
    ours = nn.Linear(3, 2)
    theirs = copy.deepcopy(ours)
    optimiser, reference = (
        optimiser_of(ours),
        torch.optim.AdamW(theirs.parameters(), RATE, (0.9, BETA2), weight_decay=DECAY),
    )
    for step in range(4):
        for layer, mover in ((ours, optimiser), (theirs, reference)):
            layer.zero_grad()
            layer(torch.full((2, 3), 1.0 + step)).square().sum().backward()
            mover.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize("most", [0.5, 1e6])
def test_sparse_and_whole_gradients_are_clipped_together(most: float) -> None:
    tables = [table(sparse) for sparse in (True, False)]
    models = [nn.ModuleDict({"table": made, "layer": nn.Linear(WIDTH, 1)}) for made in tables]
    models[1]["layer"].load_state_dict(models[0]["layer"].state_dict())
    for model, made in zip(models, tables, strict=True):
        model["layer"](made(torch.tensor([1, 1, 4]))).sum().backward()
    clip_gradients(models[0].parameters(), most)
    nn.utils.clip_grad_norm_(models[1].parameters(), most)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad.to_dense(), other.grad)


def test_tables_of_other_lengths_keep_whole_gradients() -> None:
    model = nn.ModuleList([nn.Embedding(N_ROWS, 2), nn.Embedding(5, 2)])
    step_rows_alone(model, N_ROWS)
    assert [embedding.sparse for embedding in model if isinstance(embedding, nn.Embedding)] == [True, False]
