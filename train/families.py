"""One way to fit a model of any family."""

from pathlib import Path

from train.fit import WorkersConfig, fit
from train.loop import FitConfig
from train.models.closed_form.base import ClosedModel
from train.models.registered import ModelConfig, model_class
from train.session import Fitted, run_folder
from train.training_set import TrainingSet


def fit_family(
    config: ModelConfig, training: FitConfig, data: TrainingSet, folder: Path, workers: WorkersConfig
) -> Fitted:  # fmt: skip
    """Return a fitted model: neural families train on `workers`, the others are solved here and at once."""
    family = model_class(config)
    if issubclass(family, ClosedModel):
        model = family.fit(config, data, training.seed)
        return Fitted(model=model, history=[], epoch=0, folder=run_folder(folder, config, training, data))
    return fit(config, training, data, folder, workers)
