"""Runs where experiments are compared: TensorBoard, Weights & Biases or MLflow behind one narrow interface."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field

from cluster.config import Config
from cluster.errors import ConfigError
from train.bundle_state import Manifest

PROJECT = "liveshelf"
Metrics = dict[str, float]
MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


class TrackingConfig(Config):
    """Where a run is recorded besides its bundle."""

    tracking: Literal["none", "tensorboard", "wandb", "mlflow"] = Field(
        "none", description="wandb and mlflow need the extra `tracking` and follow their own environment variables"
    )
    runs: str = Field("var/runs", description="folder of event files, and of what wandb and mlflow keep here")


class Tracker(Protocol):
    """One run in some system."""

    def settings(self, values: dict[str, Any]) -> None:
        """Record the settings."""

    def log(self, metrics: Metrics, step: int) -> None:
        """Record numbers as of a step."""

    def close(self) -> None:
        """Write what is still in memory."""


def require_tracker(config: TrackingConfig) -> None:
    """Refuse a system whose package is missing, before anything is trained."""
    if config.tracking != "none":
        _module(MODULES[config.tracking])


def track(config: TrackingConfig, manifest: Manifest, epochs: Iterable[Metrics]) -> None:
    """Record the run that made a bundle: its settings, the metrics of each epoch, and its table as `row/metric`."""
    if config.tracking == "none":
        return
    tracker = TRACKERS[config.tracking](config, manifest.version)
    try:
        tracker.settings(_flat(manifest.config))
        last = 0
        for epoch in epochs:
            last = int(epoch["epoch"])
            tracker.log({f"train/{metric}": value for metric, value in epoch.items() if metric != "epoch"}, last)
        for row, metrics in manifest.metrics.items():
            tracker.log({f"{row}/{metric}": value for metric, value in metrics.items()}, last)
    finally:
        tracker.close()


class TensorBoardTracker:
    """Event files that `tensorboard --logdir var/runs` shows."""

    def __init__(self, config: TrackingConfig, name: str) -> None:
        self.writer = _module(MODULES["tensorboard"]).SummaryWriter(str(Path(config.runs) / name))

    def settings(self, values: dict[str, Any]) -> None:
        self.writer.add_text("settings", "\n".join(f"    {name}: {value}" for name, value in values.items()))

    def log(self, metrics: Metrics, step: int) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class WandbTracker:
    """A run in Weights & Biases."""

    def __init__(self, config: TrackingConfig, name: str) -> None:
        folder = Path(config.runs)
        folder.mkdir(parents=True, exist_ok=True)
        self.wandb = _module(MODULES["wandb"])
        self.run = self.wandb.init(project=PROJECT, name=name, dir=str(folder))

    def settings(self, values: dict[str, Any]) -> None:
        self.run.config.update(values)

    def log(self, metrics: Metrics, step: int) -> None:
        self.run.log(metrics, step=step)

    def close(self) -> None:
        self.run.finish()
        self.wandb.teardown()  # waits for the process that writes


class MlflowTracker:
    """A run in MLflow; without MLFLOW_TRACKING_URI, in a database in the runs' folder."""

    def __init__(self, config: TrackingConfig, name: str) -> None:
        self.mlflow = _module(MODULES["mlflow"])
        folder = Path(config.runs).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if not self.mlflow.is_tracking_uri_set():
            self.mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        self.mlflow.set_experiment(PROJECT)
        self.mlflow.start_run(run_name=name)

    def settings(self, values: dict[str, Any]) -> None:
        self.mlflow.log_params(values)

    def log(self, metrics: Metrics, step: int) -> None:
        # MLflow allows letters, digits and a few signs, among which @, ± and the comma are not.
        plain = {name.replace("@", "_at_").replace("±", "_half").replace(",", ""): v for name, v in metrics.items()}
        self.mlflow.log_metrics(plain, step=step)

    def close(self) -> None:
        self.mlflow.end_run()


TRACKERS = {"tensorboard": TensorBoardTracker, "wandb": WandbTracker, "mlflow": MlflowTracker}


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"tracking needs {name}, which cannot be imported ({error}); "
            'install it with `pip install "liveshelf[tracking]"`, or leave tracking=none'
        ) from error


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
