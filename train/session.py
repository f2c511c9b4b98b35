"""One training run without Ray: a new model, its epochs, the metric after each, and which epoch was best."""

import hashlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cluster.errors import ConfigError
from train.checkpoint import TrainState, checkpoint_facts, load_checkpoint, save_checkpoint
from train.loop import Bar, FitConfig, train_epochs
from train.models.base import Model
from train.models.neural.content_tower import ContentTower
from train.models.neural.embedded import EmbeddedModel
from train.models.neural.initialise import svd_embeddings
from train.models.neural.lora import adapt, merged
from train.models.neural.two_tower import TwoTower
from train.models.registered import ModelConfig, model_class
from train.progress import OwnBar, log_epoch
from train.training_set import TrainingSet

Metrics = dict[str, float]  # epoch, loss, seconds, sequences_per_s, learning_rate and, where validated, ndcg@10
SCORE = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Where a run stands after an epoch."""

    state: TrainState  # live tensors, see EpochResult
    history: list[Metrics]  # of every epoch so far, this one last

    @property
    def metrics(self) -> Metrics:
        """The metrics of this epoch."""
        return self.history[-1]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained model, on the CPU, with the weights of its best epoch."""

    model: Model
    history: list[Metrics]
    epoch: int  # the best one, counted from 1
    folder: Path  # of the run's checkpoints, for the caller to delete


def new_model(config: ModelConfig, data: TrainingSet, seed: int) -> EmbeddedModel:
    """Return an untrained model whose item embeddings already know what is bought together."""
    family = model_class(config)
    if not issubclass(family, EmbeddedModel):
        raise ConfigError(f"model.kind={config.kind} is solved at once and has no epochs; take another kind")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family(config, data.n_items, data.attributes)
        if data.content is not None:
            seen = np.bincount(data.train.item_idx, minlength=data.n_items) > 0
            model.items.tower = ContentTower(data.content, seen, model.embedding_dim)
        if data.train.traits is not None and isinstance(model, TwoTower):
            model.listen(data.train.traits.get_shape()[1])
    if data.start is not None:
        model.load_state_dict(data.start, strict=False)  # without what is known of the data, such as attributes
        return model
    vectors = svd_embeddings(data.train, data.n_items, model.embedding_dim, seed)
    with torch.no_grad():
        model.items.embedding.weight.copy_(torch.from_numpy(vectors))
    return model


def first_model(model_config: ModelConfig, config: FitConfig, data: TrainingSet) -> EmbeddedModel:
    """Return a model as the first step finds it: all of it to be trained, or little of it."""
    model = new_model(model_config, data, config.seed)
    if config.lora.rank:
        if data.start is None:
            raise ConfigError(f"lora.rank={config.lora.rank} adapts trained weights; give parent=… warm_start=true too")
        adapt(model, config.lora, config.seed)
    return model


def run_epochs(
    model_config: ModelConfig, config: FitConfig, data: TrainingSet, device: torch.device,
    rank: int = 0, world_size: int = 1, resume_from: Path | None = None, bar: Bar = OwnBar,
) -> Iterator[Epoch]:  # fmt: skip
    """Train a model and yield after each epoch; the same on every worker, and stop early on all at once."""
    model = first_model(model_config, config, data).to(device)
    state = load_checkpoint(resume_from) if resume_from else None
    history: list[Metrics] = checkpoint_facts(resume_from)["history"] if resume_from else []
    for result in train_epochs(model, data.train, config, rank, world_size, state, bar, data.wanted):
        if not math.isfinite(result.loss):
            raise ConfigError(
                f"training diverged: the loss of epoch {result.epoch} is {result.loss}; lower "
                f"learning_rate={config.learning_rate}"
            )
        metrics = {
            "epoch": result.epoch, "loss": result.loss, "seconds": result.seconds,
            "sequences_per_s": result.sequences_per_s, "learning_rate": result.learning_rate,
        }  # fmt: skip
        if data.valid is not None:
            metrics[SCORE] = data.valid.ndcg(model, rank, world_size)
        history = [*history, metrics]
        yield Epoch(state=result.state, history=history)
        if is_over(history, config):
            return


def run_folder(folder: Path, model_config: ModelConfig, config: FitConfig, data: TrainingSet) -> Path:
    """Return where a run keeps its checkpoints: the same place whenever the same run is asked for."""
    return folder / f"run-{fingerprint(model_config, config, data)}"


def fingerprint(model_config: ModelConfig, config: FitConfig, data: TrainingSet) -> str:
    """Return what is equal for runs that may go on with each other's checkpoints."""
    digest = hashlib.sha256(f"{model_config!r} {config!r} {data.n_items} {data.wanted!r}".encode())
    rows = data.train
    for column in (rows.offsets, rows.item_idx, rows.timestamp_ms, rows.order_idx, rows.weight):
        digest.update(column.tobytes())
    if data.train.traits is not None:
        digest.update(data.train.traits.indices.tobytes() + data.train.traits.data.tobytes())
    if data.content is not None:
        digest.update(f"{data.content.dropout}".encode())
        digest.update(data.content.dense.tobytes())
    for name, value in sorted((data.start or {}).items()):
        digest.update(name.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:12]


def fit_here(model_config: ModelConfig, config: FitConfig, data: TrainingSet, folder: Path) -> Fitted:
    """Train in this process and return the best epoch's model.

    The newest and the best checkpoint stay in a folder of this run below `folder`, until whoever called deletes it.
    Called again with the same settings and data, it goes on from there, were it only to return what is finished.
    """
    folder = run_folder(folder, model_config, config, data)
    newest = newest_checkpoint(folder)
    history: list[Metrics] = checkpoint_facts(newest)["history"] if newest else []
    if not history or not is_over(history, config):
        for epoch in run_epochs(model_config, config, data, own_device(), resume_from=newest):
            history = epoch.history
            log_epoch(epoch.metrics)
            save_checkpoint(checkpoint_folder(folder, epoch.state.epoch), epoch.state, {"history": history})
            _keep(folder, {epoch.state.epoch, best_epoch(history)})
    best = checkpoint_folder(folder, best_epoch(history))
    return Fitted(model=load_model(model_config, best), history=history, epoch=best_epoch(history), folder=folder)


def own_device() -> torch.device:
    """Return the GPU of this machine where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def is_over(history: list[Metrics], config: FitConfig) -> bool:
    """Return whether a run has had its epochs, or `patience` of them without a better one."""
    scores = [metrics.get(SCORE, metrics["epoch"]) for metrics in history]  # unmeasured, a later one is better
    stale = len(history) - 1 - scores.index(max(scores))
    return len(history) >= config.epochs or (config.patience is not None and stale >= config.patience)


def best_epoch(history: list[Metrics]) -> int:
    """Return the number of the epoch with the highest metric, of equals the last, as Ray keeps them."""
    return int(max(history, key=lambda metrics: (metrics.get(SCORE, 0.0), metrics["epoch"]))["epoch"])


def load_model(config: ModelConfig, folder: Path) -> Model:
    """Return the model of a checkpoint, ready to answer."""
    return model_class(config).from_state(config, merged(load_checkpoint(folder).model))


def checkpoint_folder(folder: Path, epoch: int) -> Path:
    """Return where an epoch's checkpoint lies."""
    return folder / f"epoch-{epoch:05d}"


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in a folder."""
    return max(folder.glob("epoch-[0-9]*"), default=None)


def _keep(folder: Path, epochs: set[int]) -> None:
    """Delete the checkpoints of other epochs."""
    for place in folder.glob("epoch-[0-9]*"):
        if place not in {checkpoint_folder(folder, epoch) for epoch in epochs}:
            shutil.rmtree(place, ignore_errors=True)
