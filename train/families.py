"""One way to fit a model of any family."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from train.checkpoint import TrainState
from train.joining import joined
from train.loop import Bar, FitConfig
from train.models.base import NeuralModel
from train.models.closed_form.base import ClosedModel
from train.models.ensemble import EnsembleConfig
from train.models.registered import ModelConfig, model_class, served
from train.progress import OwnBar
from train.session import SCORE, Epoch, Fitted, Metrics, fit_here, run_epochs, run_folder
from train.training_set import TrainingSet
from train.workers import WorkersConfig


def fit_family(
    config: ModelConfig, training: FitConfig, data: TrainingSet, folder: Path, workers: WorkersConfig
) -> Fitted:  # fmt: skip
    """Return a fitted model: neural families train on `workers`, the others are solved here and at once.

    The members of an ensemble are fitted one after another; called again, it goes on with the one it was at.
    """
    family = model_class(config)
    if isinstance(config, EnsembleConfig):
        place = run_folder(folder, config, training, data)
        fitted = [
            fit_family(member.model, member.trained_as(training), data, place, workers) for member in config.members
        ]
        model = joined(config, [served(one.model) for one in fitted], data, training.seed)
        return Fitted(model=model, history=_one_after_another(fitted), epoch=0, folder=place)
    if issubclass(family, ClosedModel):
        model = family.fit(config, data, training.seed)
        return Fitted(model=model, history=[], epoch=0, folder=run_folder(folder, config, training, data))
    if workers.workers == 0:
        return fit_here(config, training, data, folder)
    from train.fit import fit  # late: it brings Ray, which takes a second to import

    return fit(config, training, data, folder, workers)


def family_epochs(
    config: ModelConfig, training: FitConfig, data: TrainingSet, device: torch.device,
    resume_from: Path | None = None, bar: Bar = OwnBar,
) -> Iterator[Epoch]:  # fmt: skip
    """Train a model of any family here and yield after each epoch; what has none of its own counts as one.

    The epoch of such a family holds no weights: it is measured, and nobody goes on from it.
    """
    if issubclass(model_class(config), NeuralModel):
        yield from run_epochs(config, training, data, device, resume_from=resume_from, bar=bar)
        return
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        model = fit_family(config, training, data, Path(place), WorkersConfig.parse(["workers=0"])).model
    metrics: Metrics = {"epoch": 1, "seconds": time.perf_counter() - began}
    if data.valid is not None:
        metrics[SCORE] = data.valid.ndcg(model)
    yield Epoch(state=TrainState(epoch=1, step=0, model={}, optimiser={}, scaler={}), history=[metrics])


def _one_after_another(members: list[Fitted]) -> list[Metrics]:
    """Return the epochs of all members, numbered through, with the number of the member."""
    epochs = [{"member": number, **epoch} for number, member in enumerate(members, 1) for epoch in member.history]
    return [{**epoch, "epoch": number} for number, epoch in enumerate(epochs, 1)]
