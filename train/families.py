"""One way to fit a model of any family."""

from pathlib import Path

from train.fit import WorkersConfig, fit
from train.joining import joined
from train.loop import FitConfig
from train.models.closed_form.base import ClosedModel
from train.models.ensemble import EnsembleConfig
from train.models.registered import ModelConfig, model_class, served
from train.session import Fitted, Metrics, run_folder
from train.training_set import TrainingSet


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
    return fit(config, training, data, folder, workers)


def _one_after_another(members: list[Fitted]) -> list[Metrics]:
    """Return the epochs of all members, numbered through, with the number of the member."""
    epochs = [{"member": number, **epoch} for number, member in enumerate(members, 1) for epoch in member.history]
    return [{**epoch, "epoch": number} for number, epoch in enumerate(epochs, 1)]
