"""Training is exact: the same seed gives the same weights, whether or not it was interrupted."""

from pathlib import Path

import numpy as np
import pytest
import torch

from train.checkpoint import TrainState, load_checkpoint, save_checkpoint
from train.data.batches import Batches
from train.data.schema import Interactions
from train.loop import EpochResult, FitConfig, learning_rate_at, train_epochs
from train.losses import LOSSES, Objective, sampled_softmax
from train.models.neural.transformer import Transformer, TransformerConfig

N_ITEMS = 20
SMALL = TransformerConfig(embedding_dim=16, max_length=6, feedforward_dim=16)
FIT = FitConfig(epochs=4, learning_rate=1e-2, warmup_steps=3, negatives=8, batch_tokens=60, seed=3)


def new_model() -> Transformer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Transformer(SMALL, N_ITEMS)


def train(
    cycles: Interactions, config: FitConfig = FIT, stop: int = 99, start: TrainState | None = None
) -> EpochResult:
    """Train a new model and return its result after `stop` epochs, or at the end."""
    epochs = train_epochs(new_model(), cycles, config, start_state=start)
    result = next(epochs)
    while result.epoch < min(stop, config.epochs):
        result = next(epochs)
    return result


def same(one: TrainState, other: TrainState) -> bool:
    return all(torch.equal(value, other.model[name]) for name, value in one.model.items())


def test_training_learns_what_comes_next(cycles: Interactions) -> None:
    model = new_model()
    losses = [result.loss for result in train_epochs(model, cycles, FIT.model_copy(update={"epochs": 25}))]
    assert losses[-1] < losses[0] / 2
    user = model.encode_histories([np.array([5, 6, 7]), np.array([19, 0])])
    assert (user @ model.item_vectors().detach().numpy().T).argmax(axis=1).tolist() == [8, 1]


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    cycles: Interactions, tmp_path: Path, loss: str
) -> None:
    config = FIT.model_copy(update={"loss": loss})
    half = train(cycles, config, stop=2)
    save_checkpoint(tmp_path / "half", half.state)
    torch.manual_seed(99)
    resumed = train(cycles, config, start=load_checkpoint(tmp_path / "half"))
    whole = train(cycles, config)
    assert resumed.epoch == whole.epoch == 4
    assert resumed.loss == whole.loss
    assert same(resumed.state, whole.state)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("sampling", ["uniform", "popular", "batch"])
def test_every_loss_is_brought_down_by_training_however_negatives_are_drawn(
    cycles: Interactions, loss: str, sampling: str
) -> None:
    config = FIT.model_copy(update={"loss": loss, "sampling": sampling, "epochs": 8, "log_q": sampling != "uniform"})
    losses = [result.loss for result in train_epochs(new_model(), cycles, config)]
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(cycles: Interactions) -> None:
    first = train(cycles, stop=2)
    assert same(first.state, train(cycles, stop=2).state)
    other = train(cycles, FIT.model_copy(update={"seed": 4}), stop=2)
    assert not same(first.state, other.state)


def test_training_leaves_the_callers_random_numbers_alone(cycles: Interactions) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(cycles, stop=1)
    torch.testing.assert_close(torch.rand(3), expected)


def test_a_copied_state_is_not_touched_by_further_training(cycles: Interactions) -> None:
    epochs = train_epochs(new_model(), cycles, FIT)
    first = next(epochs).state
    copy, before = first.copy(), {name: value.clone() for name, value in first.model.items()}
    next(epochs)
    assert all(torch.equal(copy.model[name], value) for name, value in before.items())
    assert not same(first, copy)


def test_the_rate_warms_up_and_ends_at_its_final_share() -> None:
    assert learning_rate_at(0, 0.0, FIT) == pytest.approx(1e-2 / 3)
    assert learning_rate_at(3, 0.0, FIT) == pytest.approx(1e-2)
    assert learning_rate_at(100, 0.5, FIT) == pytest.approx(1e-2 * (1 + FIT.final_rate) / 2)
    assert learning_rate_at(100, 1.0, FIT) == pytest.approx(1e-2 * FIT.final_rate)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("loss", ["sampled_softmax", "binary_cross_entropy"])
def test_half_precision_trains_to_about_the_same_loss(cycles: Interactions, precision: str, loss: str) -> None:
    config = FIT.model_copy(update={"precision": precision, "loss": loss})
    whole = train(cycles, config.model_copy(update={"precision": "float32"})).loss
    assert train(cycles, config).loss == pytest.approx(whole, rel=0.05)


def test_the_temperature_divides_every_score(cycles: Interactions) -> None:
    batch = next(iter(Batches(cycles, 6, 60, seed=0).epoch(0)))
    parts = [torch.from_numpy(part) for part in (batch.item_idx, batch.target, batch.weight, np.arange(8))]
    cold, warm = new_model().eval(), new_model().eval()
    with torch.no_grad():
        cold.output_norm.weight.mul_(2)
    torch.testing.assert_close(
        Objective(warm, sampled_softmax, 0.5)(*parts), Objective(cold, sampled_softmax, 1.0)(*parts)
    )


@pytest.mark.parametrize("rows", [1, 3])
def test_summed_gradients_of_batches_move_weights_as_one_batch_of_them_does(cycles: Interactions, rows: int) -> None:
    model = SMALL.model_copy(update={"dropout": 0.0, "embedding_dropout": 0.0})
    whole = FIT.model_copy(update={"loss": "softmax", "epochs": 1, "batch_tokens": 10_000})
    tokens = rows * int(np.diff(cycles.offsets).max() - 1)
    parts = whole.model_copy(update={"batch_tokens": tokens, "accumulation": 10_000})
    models = [Transformer(model, N_ITEMS) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    one, other = (next(train_epochs(m, cycles, config)) for m, config in zip(models, (whole, parts), strict=True))
    assert one.state.step == other.state.step == 1
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    embeddings = [result.state.model["items.embedding.weight"] for result in (one, other)]
    torch.testing.assert_close(*embeddings, rtol=1e-4, atol=1e-4)
