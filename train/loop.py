"""The training loop in plain PyTorch: one epoch after another, each reproducible from (seed, epoch)."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cluster.config import Config
from train.checkpoint import TrainState, optimiser_tensors, restore_optimiser
from train.data.batches import Batch, Batches
from train.data.schema import EVERY, Interactions, Targets, Wanted
from train.losses import SOFTMAXES, LossName, Objective, named_loss
from train.models.base import NeuralModel
from train.models.neural.lora import LoraConfig
from train.negatives import Negatives, Sampling
from train.optimiser import RowAdamW, clip_gradients, step_rows_alone
from train.pretext import Pretext, PretrainingConfig
from train.progress import OwnBar

Bar = Callable[..., Any]  # tqdm's way: (iterable, desc) → iterable


class FitConfig(Config):
    """How a model is trained."""

    epochs: int = Field(default=12, ge=1, le=10_000, description="passes over the training rows")
    learning_rate: float = Field(default=2e-3, gt=0, le=1, description="peak of the schedule")
    beta2: float = Field(default=0.999, gt=0, lt=1, description="AdamW's second decay")
    weight_decay: float = Field(default=0.1, ge=0, le=10, description="AdamW's decoupled decay")
    warmup_steps: int = Field(default=50, ge=0, description="steps of linear warm-up")
    final_rate: float = Field(default=0.02, ge=0, le=1, description="share of the peak left when the cosine ends")
    clip_norm: float = Field(default=5.0, gt=0, description="largest gradient norm of a step")
    loss: LossName = Field(default="sampled_softmax", description="what is minimised, see train/losses.py")
    temperature: float = Field(default=1.0, gt=0, le=100, description="divides scores inside the loss")
    calibration: float = Field(default=0.75, ge=0, le=1, description="t of gbce: 0 is binary_cross_entropy")
    negatives: int = Field(default=1024, ge=1, description="negatives shared by a step; softmax takes all items")
    sampling: Literal["uniform", "popular", "batch"] | None = Field(
        default=None, description="how negatives are drawn; empty: popular for a softmax, the step's own for info_nce"
    )
    log_q: bool | None = Field(
        default=None, description="correct sampled scores for their chance of being drawn; empty: where it is a softmax"
    )
    targets: Targets | None = Field(
        default=None, description="any item of the next_order, or the next_item alone; empty: what the split asks for"
    )
    batch_tokens: int = Field(default=1200, ge=1, description="inputs of one step, of all workers together")
    max_rows_per_epoch: int | None = Field(default=None, ge=1, description="rows drawn each epoch; empty: all")
    valid_queries: int = Field(default=2_000, ge=0, description="sample that is measured after each epoch")
    patience: int | None = Field(default=None, ge=1, description="epochs without a better one that end the run")
    seed: int = Field(default=0, ge=0, description="of first weights, batches, negatives and dropout")
    accumulation: int = Field(
        default=1, ge=1, le=1024, description="batches whose gradients are summed before the weights move once"
    )
    compiled: bool = Field(default=False, description="torch.compile the objective")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="auto: float32 on a CPU, bfloat16 (or else float16) on a GPU"
    )
    pretraining: PretrainingConfig = PretrainingConfig.parse([])
    lora: LoraConfig = LoraConfig.parse([])

    @model_validator(mode="after")
    def _ends_with_the_loss(self) -> "FitConfig":
        if self.pretraining.epochs >= self.epochs:
            raise ValueError(f"pretraining.epochs must be less than epochs={self.epochs}, of which they are the first")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochResult:
    """What one epoch brought. `state` holds the live tensors: save or copy it before asking for the next epoch."""

    epoch: int  # counted from 1
    loss: float  # mean over the targets of all workers
    seconds: float
    sequences_per_s: float  # of this worker
    learning_rate: float  # of the last step
    state: TrainState


def train_epochs(
    model: NeuralModel, interactions: Interactions, config: FitConfig,
    rank: int = 0, world_size: int = 1, start_state: TrainState | None = None, bar: Bar = OwnBar,
    wanted: Wanted = EVERY,
) -> Iterator[EpochResult]:  # fmt: skip
    """Train in place and yield after each epoch; from `start_state`, go on exactly as if it had never stopped.

    With `world_size` > 1, torch.distributed must be up; each worker takes its part of every step.
    """
    trainer = Trainer(model, interactions, config, rank, world_size, wanted)
    if start_state is not None:
        trainer.load(start_state)
    while trainer.epoch < config.epochs:
        yield trainer.run_epoch(bar)


class Trainer:
    """Model, optimiser and batches of one worker."""

    def __init__(
        self, model: NeuralModel, interactions: Interactions, config: FitConfig, rank: int, world_size: int,
        wanted: Wanted = EVERY,
    ) -> None:  # fmt: skip
        self.model, self.config, self.rank, self.world_size = model, config, rank, world_size
        self.device = next(model.parameters()).device
        self.dtype = autocast_dtype(config.precision, self.device)
        self.negatives = Negatives(sampling(config), config.negatives, popularity(interactions, model.n_items))
        loss = named_loss(config.loss, config.negatives, model.n_items, config.calibration)
        log_share = torch.from_numpy(self.negatives.log_share).to(self.device) if corrected(config) else None
        self.objective: nn.Module = Objective(model, loss, config.temperature, log_share)
        self.pretext = Pretext(self.objective, config.pretraining) if config.pretraining.task != "none" else None
        self.objective = self.pretext or self.objective
        # A softmax over all items touches every row, and nccl adds up no sparse gradients.
        if self.device.type == "cpu" and config.loss != "softmax":
            step_rows_alone(model, model.n_items)
        if world_size > 1:
            self.objective = DistributedDataParallel(self.objective, broadcast_buffers=False)
        self.compute = torch.compile(self.objective, dynamic=True) if config.compiled else self.objective
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimiser = RowAdamW(
            trained, config.learning_rate, (0.9, config.beta2), weight_decay=config.weight_decay, fused=True
        )
        self.scaler = torch.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.batches = Batches(
            interactions, model.max_length, config.batch_tokens, config.seed, config.max_rows_per_epoch,
            replace(wanted, targets=config.targets or wanted.targets),
        )  # fmt: skip
        self.epoch = self.step = 0

    def run_epoch(self, bar: Bar) -> EpochResult:
        """Train the next epoch."""
        start, config = time.perf_counter(), self.config
        steps = self.batches.epoch(self.epoch, self.rank, self.world_size)
        shown = bar(steps, desc=f"epoch {self.epoch + 1}/{config.epochs}") if self.rank == 0 else steps
        rng = np.random.default_rng((config.seed, self.epoch, 1))  # the same for every worker
        sequences, rate, weight, loss = 0, 0.0, 0.0, torch.zeros((), dtype=torch.float64, device=self.device)
        self.model.train()
        if self.pretext is not None:
            self.pretext.alone = self.epoch < config.pretraining.epochs
        with self._dropout_seed():
            for number, group in enumerate(batched(shown, config.accumulation)):
                done = number * config.accumulation / len(steps)
                rate = learning_rate_at(self.step, (self.epoch + done) / config.epochs, config)
                loss += self._step(group, rng, rate)
                sequences += sum(len(batch.item_idx) for batch in group)
                weight += sum(batch.total_weight for batch in group)
        if self.world_size > 1:
            torch.distributed.all_reduce(loss)
        self.optimiser.settle()
        self.epoch += 1
        mean, seconds = loss.item() / max(weight, 1e-9), time.perf_counter() - start
        return EpochResult(
            epoch=self.epoch, loss=mean, seconds=seconds, sequences_per_s=sequences / seconds, learning_rate=rate,
            state=self.state(),
        )  # fmt: skip

    def state(self) -> TrainState:
        """Return what `load` needs, without copying."""
        return TrainState(
            epoch=self.epoch, step=self.step, model=self.model.state_dict(),
            optimiser=optimiser_tensors(self.optimiser), scaler=self.scaler.state_dict(),
        )  # fmt: skip

    def load(self, state: TrainState) -> None:
        """Go on from a state."""
        self.model.load_state_dict(state.model)
        restore_optimiser(self.optimiser, state.optimiser)
        self.scaler.load_state_dict(state.scaler)
        self.epoch, self.step = state.epoch, state.step

    def _step(self, group: Sequence[Batch], rng: np.random.Generator, rate: float) -> Tensor:
        """Move the weights once, by the gradients of all batches of a group; return this worker's summed loss."""
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = rate
        self.optimiser.zero_grad()
        total_weight, loss = sum(batch.total_weight for batch in group), torch.zeros((), device=self.device)
        for number, batch in enumerate(group):
            with self._exchanged(number == len(group) - 1):
                part = self._loss(batch, self.negatives.of(batch, rng))
                # Gradients are averaged over workers, so each counts its own part world_size times.
                self.scaler.scale(part * (self.world_size / max(total_weight, 1e-9))).backward()
            loss += part.detach()
        self.scaler.unscale_(self.optimiser)
        clip_gradients(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        return loss

    def _loss(self, batch: Batch, negatives: np.ndarray) -> Tensor:
        parts = (batch.item_idx, batch.target, batch.weight, negatives)
        told = (batch.told.each(self._tensor),) if self.model.hears else ()
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.compute(*map(self._tensor, parts), *told)

    def _tensor(self, part: np.ndarray) -> Tensor:
        return torch.from_numpy(part).to(self.device)

    def _exchanged(self, last: bool) -> AbstractContextManager[None]:
        """Let workers exchange gradients once a step, with its last batch."""
        if last or not isinstance(self.objective, DistributedDataParallel):
            return nullcontext()
        return self.objective.no_sync()

    @contextmanager
    def _dropout_seed(self) -> Iterator[None]:
        """Draw an epoch's dropout from (seed, epoch, rank) and leave the caller's generator as it was."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            seeds = np.random.default_rng((self.config.seed, self.epoch, 2, self.rank))
            torch.manual_seed(int(seeds.integers(2**62)))
            yield


def batched(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield the batches in groups of `size`, the last one shorter."""
    left = iter(batches)
    while group := list(islice(left, size)):
        yield group


def sampling(config: FitConfig) -> Sampling:
    """Return where negatives come from; two losses are defined by just that."""
    fixed: dict[str, Sampling] = {"softmax": "all", "info_nce": "batch"}
    return fixed.get(config.loss, config.sampling or ("popular" if config.loss in SOFTMAXES else "uniform"))


def corrected(config: FitConfig) -> bool:
    """Return whether scores are corrected for how negatives are drawn; only a softmax has such a term."""
    return config.loss in SOFTMAXES if config.log_q is None else config.log_q


def popularity(interactions: Interactions, n_items: int) -> np.ndarray:
    """Return how often each item occurs, (n_items,)."""
    return np.bincount(interactions.item_idx, minlength=n_items)


def learning_rate_at(step: int, progress: float, config: FitConfig) -> float:
    """Return the rate of a step: linear warm-up, times a cosine over `progress` in [0, 1] down to `final_rate`."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * warmup * (config.final_rate + (1 - config.final_rate) * cosine)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that matrix products are computed in."""
    if precision != "auto":
        return getattr(torch, precision)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
