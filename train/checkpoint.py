"""Where training stands, in a folder that is whole or absent: tensors as safetensors, the rest as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cluster.errors import BundleError
from cluster.storage import sha256, whole_folder

MODEL, OPTIMISER, FACTS = "model.safetensors", "optimiser.safetensors", "checkpoint.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """Everything that training goes on from. All that is random follows from the seed and the epoch's number."""

    epoch: int  # epochs done
    step: int  # steps done, all epochs
    model: dict[str, Tensor]  # its state_dict
    optimiser: dict[str, Tensor]  # "<number of the parameter>.<name>" → moment or step count
    scaler: dict[str, Any]  # the loss scale of float16, else empty

    def copy(self) -> "TrainState":
        """Return a state of its own, on the CPU, that further training does not touch."""
        return TrainState(
            epoch=self.epoch, step=self.step, model=_copied(self.model), optimiser=_copied(self.optimiser),
            scaler=dict(self.scaler),
        )  # fmt: skip


def save_checkpoint(folder: Path, state: TrainState, facts: dict[str, Any] | None = None) -> None:
    """Write a state to `folder`, which must not exist yet, with JSON `facts` about it."""
    with whole_folder(folder) as aside:
        fill_checkpoint(aside, state, facts)


def fill_checkpoint(folder: Path, state: TrainState, facts: dict[str, Any] | None = None) -> None:
    """Write a state into an existing folder, for a caller that publishes the folder itself."""
    save_file(_copied(state.model), folder / MODEL)
    save_file(_copied(state.optimiser), folder / OPTIMISER)
    digests = {name: sha256(folder / name) for name in (MODEL, OPTIMISER)}
    content = {
        "epoch": state.epoch,
        "step": state.step,
        "scaler": state.scaler,
        "sha256": digests,
        "facts": facts or {},
    }
    (folder / FACTS).write_text(json.dumps(content, indent=1))


def load_checkpoint(folder: Path) -> TrainState:
    """Return the state in `folder`, on the CPU, after checking every file against its sha256."""
    content = _content(folder)
    try:
        _check_digests(folder, content["sha256"])
        return TrainState(
            epoch=content["epoch"], step=content["step"], scaler=content["scaler"],
            model=load_file(folder / MODEL), optimiser=load_file(folder / OPTIMISER),
        )  # fmt: skip
    except (OSError, KeyError, SafetensorError) as error:
        raise BundleError(
            f"checkpoint {folder} is incomplete ({error!r}); delete it and train from the one before"
        ) from None


def checkpoint_facts(folder: Path) -> dict[str, Any]:
    """Return what was written beside the state."""
    return _content(folder).get("facts", {})


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's moments under flat names."""
    moments = optimiser.state_dict()["state"]
    return {f"{number}.{name}": value for number, part in moments.items() for name, value in part.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put moments back; the parameters must be the same ones in the same order."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        moments.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})


def _content(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / FACTS).read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"no readable checkpoint in {folder}: {error}") from None


def _check_digests(folder: Path, digests: dict[str, str]) -> None:
    for name, digest in digests.items():
        if sha256(folder / name) != digest:
            raise BundleError(f"{folder / name} is altered; delete {folder} and train from the checkpoint before it")


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
