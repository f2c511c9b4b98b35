"""Training on one or many workers of a Ray cluster."""

import tempfile
from pathlib import Path
from typing import Any

from cluster.runtime import connect  # before Ray, which reads its environment on import

# isort: split
import ray
import ray.train
import ray.train.torch
from ray.util.queue import Queue

from cluster.errors import RuntimeStartError
from train.checkpoint import checkpoint_facts, fill_checkpoint
from train.loop import FitConfig
from train.models.registered import ModelConfig
from train.progress import SentBar, drawn
from train.session import SCORE, Epoch, Fitted, best_epoch, load_model, run_epochs, run_folder
from train.training_set import TrainingSet
from train.workers import WorkersConfig


def fit(
    model_config: ModelConfig, config: FitConfig, data: TrainingSet, folder: Path, workers: WorkersConfig
) -> Fitted:
    """Train on at least one worker and return the best epoch's model; checkpoints lie under `folder`.

    A run goes on by itself when a worker is lost, and when the same one is asked for again after an interruption.
    """
    connect()
    place = run_folder(folder.absolute(), model_config, config, data)
    channel = Queue(actor_options={"num_cpus": 0})
    task = {"model": model_config, "training": config, "data": ray.put(data), "channel": channel}
    task["validated"] = data.valid is not None
    with drawn(channel):
        result = _trainer(task, place, workers).fit()
    channel.shutdown()
    if result.checkpoint is None or not result.best_checkpoints:
        raise RuntimeStartError(f"training left no checkpoint in {folder}: {result.error}")
    with result.checkpoint.as_directory() as checkpoint:
        history = checkpoint_facts(Path(checkpoint))["history"]
    kept = {int(metrics["epoch"]): checkpoint for checkpoint, metrics in result.best_checkpoints}
    with kept[best_epoch(history)].as_directory() as checkpoint:
        model = load_model(model_config, Path(checkpoint))
    return Fitted(model=model, history=history, epoch=best_epoch(history), folder=place)


def _trainer(task: dict[str, Any], place: Path, workers: WorkersConfig) -> ray.train.torch.TorchTrainer:
    gpu = workers.gpu
    if gpu is None:
        gpu = ray.cluster_resources().get("GPU", 0) >= workers.workers
    resources: dict[str, float] = {"CPU": workers.cores, "GPU": int(gpu)}
    return ray.train.torch.TorchTrainer(
        _work,
        train_loop_config=task,
        torch_config=ray.train.torch.TorchConfig(backend="nccl" if gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers.workers, use_gpu=gpu, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            # Ray resumes a run of the same name, and the name says which settings and data the run is of.
            name=place.name,
            storage_path=str(place.parent),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=2, checkpoint_score_attribute=SCORE if task["validated"] else None
            ),
            failure_config=ray.train.FailureConfig(max_failures=workers.max_failures),
        ),
    )  # fmt: skip


def _work(task: dict[str, Any]) -> None:
    """Train as one worker, from the newest checkpoint if there is one."""
    context, checkpoint = ray.train.get_context(), ray.train.get_checkpoint()
    with tempfile.TemporaryDirectory() as place:
        for epoch in run_epochs(
            task["model"], task["training"], ray.get(task["data"]), ray.train.torch.get_device(),
            context.get_world_rank(), context.get_world_size(),
            resume_from=Path(checkpoint.to_directory(place)) if checkpoint else None, bar=SentBar(task["channel"]),
        ):  # fmt: skip
            if context.get_world_rank() == 0:
                task["channel"].put(epoch.metrics)
                _report_with_checkpoint(epoch)
            else:
                ray.train.report(epoch.metrics)


def _report_with_checkpoint(epoch: Epoch) -> None:
    with tempfile.TemporaryDirectory() as aside:
        fill_checkpoint(Path(aside), epoch.state, {"history": epoch.history})
        ray.train.report(epoch.metrics, checkpoint=ray.train.Checkpoint.from_directory(aside))
