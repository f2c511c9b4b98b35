"""A fit that goes on from an earlier bundle: where that one is, what training begins with, and how much of it moves."""

from dataclasses import replace

from cluster.errors import ConfigError
from train.config import FitRun
from train.data.report import NOTHING, Report
from train.data.schema import Catalogue
from train.models.neural.lora import trained_share
from train.registry import Registry
from train.session import first_model, new_model
from train.training_set import TrainingSet
from train.warm_start import Parent, first_weights, read_parent, shared_items


def find_parent(config: FitRun, has_clock: bool) -> Parent | None:
    """Return what a fit goes on from, if it does; ConfigError where that cannot be."""
    if not config.refresh.warm_start:
        return None
    if config.parent is None:
        raise ConfigError("warm_start=true needs a bundle to start from; give parent=current or parent=<version>")
    if config.refresh.only_new and (config.prepare.archived or not has_clock):
        raise ConfigError("only_new=true needs the times of events, which this data does not keep; leave it out")
    return read_parent(Registry(config.registry).find(config.parent), config.model, config.features)


def started(data: TrainingSet, parent: Parent, catalogue: Catalogue, config: FitRun) -> tuple[TrainingSet, Report]:
    """Return a training set that goes on from the parent, and what that means."""
    start = first_weights(parent, new_model(config.model, data, config.training.seed), catalogue)
    after_ms = parent.learned_ms if config.refresh.only_new else None
    data = replace(data, start=start, wanted=replace(data.wanted, after_ms=after_ms))
    n_old, kept = len(parent.item_ids), shared_items(parent, catalogue)
    share = trained_share(first_model(config.model, config.training, data))
    why = f"{catalogue.n_items - kept} new items, {n_old - kept} gone; {share:.1%} of the parameters are trained"
    return data, NOTHING.add(f"from {parent.version}", n_old, kept, why)
