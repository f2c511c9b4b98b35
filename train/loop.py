"""The training loop in plain PyTorch: one epoch after another, each reproducible from (seed, epoch)."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.distributed
from pydantic import Field
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from cluster.config import Config
from train.data.batches import Batch, Batches, Targets
from train.data.schema import NO_ITEM, Interactions
from train.losses import LOSSES
from train.models.base import SequenceModel


class FitConfig(Config):
    """How a model is trained."""

    epochs: int = Field(default=24, ge=1, le=10_000, description="passes over the training rows")
    learning_rate: float = Field(default=2e-3, gt=0, le=1, description="peak of the schedule")
    beta2: float = Field(default=0.999, gt=0, lt=1, description="AdamW's second decay")
    weight_decay: float = Field(default=0.01, ge=0, le=10, description="AdamW's decoupled decay")
    warmup_steps: int = Field(default=50, ge=0, description="steps of linear warm-up")
    final_rate: float = Field(default=0.02, ge=0, le=1, description="share of the peak left when the cosine ends")
    loss: Literal["sampled_softmax", "binary_cross_entropy"] = Field(
        default="sampled_softmax", description="see train.losses"
    )
    temperature: float = Field(default=1.0, gt=0, le=100, description="divides scores inside the loss")
    negatives: int = Field(default=1024, ge=1, description="uniform negatives shared by a step")
    batch_tokens: int = Field(default=1200, ge=1, description="inputs of one step, of all workers together")
    targets: Targets = Field(default="next_item", description="next_item, or any item of the next order")
    max_rows_per_epoch: int | None = Field(default=None, ge=1, description="rows sampled each epoch; all when absent")
    clip_norm: float = Field(default=5.0, gt=0, description="largest gradient norm of a step")
    seed: int = Field(default=0, ge=0, description="of batches, negatives and dropout")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="auto: by the device"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainState:
    """Everything that training goes on from; tensors are the live ones until the loop is resumed."""

    epoch: int  # epochs done
    step: int  # steps done
    model: dict[str, Tensor]
    optimiser: dict[str, Tensor]  # "<parameter number>.<name>" → tensor
    scaler: dict[str, float]  # of float16's loss scale, else empty


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochResult:
    """What one epoch brought; `state` is valid until the next one is asked for."""

    epoch: int  # counted from 1
    loss: float  # nats per target, of all workers
    seconds: float
    sequences_per_s: float  # of this worker
    learning_rate: float
    state: TrainState


def train_epochs(
    model: SequenceModel, interactions: Interactions, config: FitConfig,
    rank: int = 0, world_size: int = 1, start_state: TrainState | None = None,
) -> Iterator[EpochResult]:  # fmt: skip
    """Train in place and yield after each epoch; from `start_state`, go on exactly as if it had never stopped.

    With `world_size` > 1, torch.distributed must be up; each worker takes its part of every step.
    """
    trainer = _Trainer(model, interactions, config, rank, world_size)
    if start_state is not None:
        trainer.load(start_state)
    for epoch in range(trainer.epoch, config.epochs):
        yield trainer.run(epoch)


def learning_rate_at(step: int, progress: float, config: FitConfig) -> float:
    """Return the rate of a step: linear warm-up, times a cosine over `progress` in [0, 1] down to `final_rate`."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * warmup * (config.final_rate + (1 - config.final_rate) * cosine)


class _Trainer:
    """Model, optimiser and batches of one worker."""

    def __init__(
        self, model: SequenceModel, interactions: Interactions, config: FitConfig, rank: int, world_size: int
    ) -> None:
        self.model, self.config, self.rank, self.world_size = model, config, rank, world_size
        self.device = next(model.parameters()).device
        self.dtype = autocast_dtype(config.precision, self.device)
        objective = _Objective(model, config)
        self.objective: nn.Module = DistributedDataParallel(objective) if world_size > 1 else objective
        self.optimiser = torch.optim.AdamW(
            model.parameters(), config.learning_rate, (0.9, config.beta2), weight_decay=config.weight_decay, fused=True
        )
        self.scaler = torch.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.batches = Batches(
            interactions, model.max_length, config.batch_tokens, config.seed, config.targets, config.max_rows_per_epoch
        )
        self.epoch = self.step = 0

    def run(self, epoch: int) -> EpochResult:
        """Train one epoch. All that is random in it follows from (seed, epoch, rank)."""
        self.model.train()
        start, rows, losses, weights = time.perf_counter(), 0, 0.0, 0.0
        steps = self.batches.epoch(epoch, self.rank, self.world_size)
        negatives = np.random.default_rng((self.config.seed, epoch, 1))
        progress = tqdm(steps, f"epoch {epoch + 1}/{self.config.epochs}", disable=self.rank > 0, leave=False)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.default_rng((self.config.seed, epoch, 2, self.rank)).integers(2**62)))
            for number, batch in enumerate(progress):
                rate = learning_rate_at(self.step, (epoch + number / len(steps)) / self.config.epochs, self.config)
                drawn = negatives.integers(self.model.n_items, size=self.config.negatives)
                losses += self._step(batch, drawn, rate) * batch.total_weight
                rows, weights = rows + len(batch.item_idx), weights + batch.total_weight
        seconds = time.perf_counter() - start
        self.epoch = epoch + 1
        return EpochResult(
            epoch=self.epoch, loss=self._everywhere(losses) / max(weights, 1e-9), seconds=seconds,
            sequences_per_s=rows / seconds, learning_rate=rate, state=self.state(),
        )  # fmt: skip

    def _step(self, batch: Batch, negatives: np.ndarray, rate: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        parts = (batch.item_idx, batch.target, batch.weight, negatives)
        inputs = [torch.from_numpy(part).to(self.device) for part in parts]
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            # Workers' gradients are averaged, so each counts its own part world_size times.
            loss = self.objective(*inputs) * (self.world_size / max(batch.total_weight, 1e-9))
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        return loss.item() / self.world_size

    def _everywhere(self, value: float) -> float:
        if self.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return total.item()

    def state(self) -> TrainState:
        """Return what `load` needs, without copying."""
        moments = self.optimiser.state_dict()["state"]
        optimiser = {f"{number}.{name}": value for number, part in moments.items() for name, value in part.items()}
        return TrainState(
            epoch=self.epoch, step=self.step, model=self.model.state_dict(), optimiser=optimiser,
            scaler=self.scaler.state_dict(),
        )  # fmt: skip

    def load(self, state: TrainState) -> None:
        """Go on from a state."""
        self.model.load_state_dict(state.model)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.optimiser.items():
            number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})
        self.scaler.load_state_dict(state.scaler)
        self.epoch, self.step = state.epoch, state.step


class _Objective(nn.Module):
    """The weighted sum of one worker's losses in a step, as a module so that gradients can be averaged over workers."""

    def __init__(self, model: SequenceModel, config: FitConfig) -> None:
        super().__init__()
        self.model, self.loss, self.temperature = model, LOSSES[config.loss], config.temperature

    def forward(self, item_idx: Tensor, target: Tensor, weight: Tensor, negatives: Tensor) -> Tensor:
        """item_idx, target, weight: (B, L); negatives: (m,). Returns a scalar."""
        trained = target != NO_ITEM
        hidden, target = self.model.hidden(item_idx)[trained], target[trained]
        vectors = self.model.vectors(torch.cat([target, negatives]))
        positive = (hidden * vectors[: len(target)]).sum(1)
        negative = hidden @ vectors[len(target) :].T
        losses = self.loss(positive, negative, target.unsqueeze(1) == negatives, self.temperature)
        return (losses * weight[trained]).sum()


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return what matrix products are computed in: half of float32's bits on a GPU, float32 on a CPU, unless told."""
    if precision != "auto":
        return getattr(torch, precision)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
