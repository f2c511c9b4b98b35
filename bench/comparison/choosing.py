"""A family fitted and what was left open chosen on validation: an epoch, or a point of a small grid."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench.comparison.families import FamilyRow
from bench.comparison.ranks import gain, rank_all
from cluster.config import Config
from cluster.errors import DataError
from train.encoders.base import clean
from train.families import fit_family
from train.models.base import Model
from train.models.closed_form.base import ClosedModel
from train.models.registered import model_class
from train.session import SCORE
from train.training_set import TrainingSet
from train.validation import ValidationSet
from train.workers import WorkersConfig

HERE = WorkersConfig(workers=0)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A fitted model and why it was taken."""

    model: Model
    valid: float  # NDCG@10 of the validation queries
    settings: dict[str, Any]  # what was chosen


def fit_and_choose(row: FamilyRow, data: TrainingSet, valid: ValidationSet, folder: Path) -> Chosen:
    """Return the best model of a family by its validation queries; `data` holds the same for choosing an epoch."""
    _require_material(row.model.kind, data)
    if not row.has_epochs:
        tried = solved(row, data)
        return max((_measured(model, settings, valid) for model, settings in tried), key=lambda chosen: chosen.valid)
    fitted = fit_family(row.model, row.training, data, folder, HERE)
    if not fitted.epoch:  # a family with a way of its own to choose
        return _measured(fitted.model, {}, valid)
    best = fitted.history[fitted.epoch - 1]
    return Chosen(model=fitted.model, valid=best[SCORE], settings={"epoch": fitted.epoch})


def solved(row: FamilyRow, data: TrainingSet) -> Iterator[tuple[Model, dict[str, Any]]]:
    """Yield a model for each point of the grid, the given settings first; one fit serves all ways of reading it."""
    family = cast(type[ClosedModel], model_class(row.model))
    for fitting in points(row.model, row.grid.fit):
        config = _with(row.model, fitting)
        model = family.fit(config, data, row.training.seed)
        for reading in points(row.model, row.grid.read):
            yield family.from_state(_with(config, reading), model.state_dict()), fitting | reading


def points(config: Config, values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return all combinations of values, the one that `config` has first."""
    own = {name: getattr(config, name) for name in values}
    found = [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]
    return [own, *(point for point in found if point != own)]


def _require_material(kind: str, data: TrainingSet) -> None:
    """Refuse what would score all items alike."""
    if kind == "content" and not any(clean(text) for text in data.texts):
        raise DataError("compares the words of items, and these have none")
    if kind == "tags" and (data.attributes is None or not data.attributes.nnz):
        raise DataError("compares the attributes of items, and these have none")


def _with(config: Any, values: dict[str, Any]) -> Any:
    return type(config).checked(config.model_dump() | values)


def _measured(model: Model, settings: dict[str, Any], valid: ValidationSet) -> Chosen:
    ranks = rank_all(model, valid.histories, np.array([truth[0] for truth in valid.truths]))
    own = ranks.filtered if valid.filter_seen else ranks.kept
    return Chosen(model=model, valid=float(gain(own).mean()), settings=settings)
