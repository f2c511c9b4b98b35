"""A checkpoint comes back bit for bit, or is refused."""

from pathlib import Path

import pytest
import torch

from cluster.errors import BundleError
from train.checkpoint import TrainState, checkpoint_facts, load_checkpoint, save_checkpoint

STATE = TrainState(
    epoch=2, step=17, model={"weight": torch.randn(3, 4)}, scaler={"scale": 8.0},
    optimiser={"0.exp_avg": torch.randn(3, 4), "0.step": torch.tensor(17.0)},
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "saved", STATE, {"ndcg@10": 0.25})
    return tmp_path / "saved"


def test_what_was_saved_is_loaded(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    assert (loaded.epoch, loaded.step, loaded.scaler) == (2, 17, {"scale": 8.0})
    assert torch.equal(loaded.model["weight"], STATE.model["weight"])
    assert loaded.optimiser.keys() == STATE.optimiser.keys()
    assert checkpoint_facts(folder) == {"ndcg@10": 0.25}


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors"])
def test_a_flipped_byte_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match="altered"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "checkpoint.json"])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match="checkpoint"):
        load_checkpoint(folder)


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    broken = TrainState(epoch=1, step=1, model={}, optimiser={}, scaler={"scale": object()})
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "broken", broken)
    assert not any(tmp_path.iterdir())
