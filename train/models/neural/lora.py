"""Low-rank updates of a trained network's matrices, so that new events move few parameters (LoRA; Hu et al., 2022)."""

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cluster.config import Config
from cluster.errors import ConfigError

PLACE = ".parametrizations.weight."  # where PyTorch keeps a weight and its update
ORIGINAL, DOWN, UP = f"{PLACE}original", f"{PLACE}0.down", f"{PLACE}0.up"


class LoraConfig(Config):
    """How little of a model is trained."""

    rank: int = Field(default=0, ge=0, le=256, description="of each matrix's update; 0 trains everything instead")
    most: float = Field(default=0.05, gt=0, le=1, description="share of the parameters that may be trained")


class LowRank(nn.Module):
    """W + up · down / √rank; `up` begins at zero, so that nothing changes before the first step."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        matrix = weight.flatten(1)
        rank = min(rank, *matrix.shape)
        # Of unit variance, so that a step of Adam moves an entry of W by about the learning rate, as without an update.
        self.down = nn.Parameter(torch.randn(rank, matrix.shape[1], device=weight.device))
        self.up = nn.Parameter(torch.zeros(matrix.shape[0], rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the updated weight, in its shape."""
        return weight + update(self.up, self.down).view_as(weight)


def update(up: Tensor, down: Tensor) -> Tensor:
    """Return what is added to a matrix."""
    return up @ down / math.sqrt(len(down))


def adapt(model: nn.Module, config: LoraConfig, seed: int) -> None:
    """Freeze a model but for low-rank updates of its linear layers and convolutions, all of them fresh."""
    model.requires_grad_(False)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv1d)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, config.rank))
    share = trained_share(model)
    if not 0 < share <= config.most:
        raise ConfigError(
            f"lora.rank={config.rank} trains {share:.1%} of the parameters, but lora.most={config.most:.1%}; "
            "lower the rank, or fit without lora.rank"
        )


def trained_share(model: nn.Module) -> float:
    """Return which part of a model's parameters gradient descent moves."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(n for n, trained in counts if trained) / max(1, sum(n for n, _ in counts))


def merged(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state with every update added to its matrix; one that was never adapted comes back as it is."""
    plain = {name: value for name, value in state.items() if not name.endswith((ORIGINAL, DOWN, UP))}
    for layer in [name.removesuffix(ORIGINAL) for name in state if name.endswith(ORIGINAL)]:
        weight = state[layer + ORIGINAL]
        plain[f"{layer}.weight"] = weight + update(state[layer + UP], state[layer + DOWN]).view_as(weight)
    return plain
