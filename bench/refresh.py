"""What keeping a bundle up to date costs and brings: from scratch, from the parent's weights, and by a low-rank update.

    python -m bench.refresh data=<folder or loader's name with times> [share=0.8 rank=8 epochs=12 key=value … for fit]

The parent learns from the first `share` of the training rows and knows their items alone. Then the rest arrives, and
every way to refresh is asked for the orders of the validation window, which is later than all of it. Nothing is chosen:
each run ends with its last epoch. Writes bench/results/refresh.json.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from bench.commands import print_rows, split_words
from bench.report import keep
from cluster.config import Config
from train.config import FitRun
from train.data.schema import Catalogue, Interactions
from train.data.source import prepare_data
from train.data.split import make_split
from train.data.steps.catalogue import catalogue_of
from train.models.neural.embedded import EmbeddedModel
from train.models.neural.lora import trained_share
from train.pipeline import buys_again
from train.refresh import started
from train.session import first_model, fit_here
from train.training_set import TrainingSet
from train.validation import ValidationSet
from train.warm_start import Parent

TABLES = ("items.embedding.weight", "items.attribute_embedding.weight")


class RefreshBench(Config):
    """How much is new, and how it is learned."""

    share: float = Field(0.8, gt=0, lt=1, description="of the training rows, oldest first, that the parent sees")
    faster: int = Field(4, ge=1, description="a refresh takes this many times fewer epochs than a fit")
    rank: int = Field(8, ge=1, description="of the low-rank update")
    queries: int = Field(6_000, ge=1, description="sampled questions")


@dataclass(frozen=True)
class World:
    """What is known now, what was known when the parent was trained, and what is asked."""

    catalogue: Catalogue
    now: Interactions
    old_catalogue: Catalogue
    old: Interactions
    asked: ValidationSet


def world_of(config: FitRun, bench: RefreshBench) -> World:
    """Cut the training rows in time."""
    prepared = prepare_data(config)
    split = make_split(prepared.interactions, config.holdout, prepared.has_clock)
    keep_seen = buys_again(split.train) if config.keep_seen is None else config.keep_seen
    asked = ValidationSet.sample(split, bench.queries, not keep_seen, seed=0)
    if asked is None:
        sys.exit("nothing is held out to ask for")
    before = split.train.timestamp_ms <= np.quantile(split.train.timestamp_ms, bench.share)
    rows = split.train.where(before)
    known = np.unique(rows.item_idx)
    place = np.full(prepared.catalogue.n_items, -1)
    place[known] = np.arange(len(known))
    return World(
        catalogue=prepared.catalogue, now=split.train, asked=asked,
        old_catalogue=catalogue_of(prepared.catalogue.frame.iloc[known].reset_index(drop=True)),
        old=replace(rows, item_idx=place[rows.item_idx]),
    )  # fmt: skip


def trained(config: FitRun, data: TrainingSet) -> tuple[EmbeddedModel, float]:
    """Return a model after its last epoch and the CPU seconds of all of them."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        model = fit_here(config.model, config.training, data, Path(place)).model
    if not isinstance(model, EmbeddedModel):
        sys.exit(f"model.kind={config.model.kind} has no weights to start from")
    return model, time.process_time() - start


def refreshed(world: World, parent: Parent, config: FitRun) -> dict[str, float]:
    """Return how a refresh does, what it costs and what it moves."""
    begun = time.process_time()
    plain = TrainingSet.of(world.catalogue, world.now, None)
    data, _ = started(plain, parent, world.catalogue, config)
    prepare_s = time.process_time() - begun
    model, seconds = trained(config, data)
    share = trained_share(first_model(config.model, config.training, data))
    return {
        "ndcg@10": world.asked.ndcg(model), "cpu_s": prepare_s + seconds, "trained": share,
        "encoder_moved": moved(parent.model, model),
    }  # fmt: skip


def parent_of(world: World, model: EmbeddedModel) -> Parent:
    """Return what `fit` would read from the bundle of the older rows."""
    names = np.array(world.old_catalogue.attribute_names, dtype=object)
    return Parent(
        version="parent", learned_ms=int(world.old.timestamp_ms.max()), model=model, features=None,
        item_ids=world.old_catalogue.item_ids, attribute_names=names,
    )  # fmt: skip


def moved(old: EmbeddedModel, new: EmbeddedModel) -> float:
    """Return how far the weights beside the tables went, as a share of their length."""
    before, after = old.state_dict(), new.state_dict()
    names = [name for name, _ in old.named_parameters() if name not in TABLES]
    far = torch.stack([(after[name] - before[name]).square().sum() for name in names]).sum()
    return float((far / torch.stack([before[name].square().sum() for name in names]).sum()).sqrt())


def unrefreshed(world: World, parent: Parent, config: FitRun) -> float:
    """Return the parent's NDCG@10; what it does not know it cannot find."""
    data, _ = started(TrainingSet.of(world.catalogue, world.now, None), parent, world.catalogue, config)
    model = first_model(config.model, config.training, data).eval()
    unknown = ~np.isin(world.catalogue.item_ids, parent.item_ids)
    with torch.no_grad():
        model.items.embedding.weight[torch.from_numpy(unknown)] = 0
    return world.asked.ndcg(model)


def main(words: list[str]) -> int:
    mine, passed = split_words(words, RefreshBench)
    bench = RefreshBench.parse(mine)
    fit = FitRun.parse(passed)
    epochs = max(1, fit.training.epochs // bench.faster)
    world = world_of(fit, bench)
    model, parent_s = trained(fit, TrainingSet.of(world.old_catalogue, world.old, None))
    parent = parent_of(world, model)
    ways = {
        "warm start": ["warm_start=true"],
        "warm start, new events": ["warm_start=true", "only_new=true"],
        f"lora {bench.rank}, new events": ["warm_start=true", "only_new=true", f"lora.rank={bench.rank}"],
        f"lora {bench.rank}": ["warm_start=true", f"lora.rank={bench.rank}"],
    }  # fmt: skip
    rows: dict[str, dict[str, float]] = {}
    rows["parent as it was"] = {"ndcg@10": unrefreshed(world, parent, fit), "cpu_s": parent_s}
    whole, seconds = trained(fit, TrainingSet.of(world.catalogue, world.now, None))
    rows["fit from scratch"] = {"ndcg@10": world.asked.ndcg(whole), "cpu_s": seconds, "trained": 1.0}
    for name, extra in ways.items():
        rows[name] = refreshed(world, parent, FitRun.parse([*passed, *extra, f"epochs={epochs}"]))
        print(name, {key: round(value, 4) for key, value in rows[name].items()}, flush=True)
    facts = {
        "items": world.catalogue.n_items, "new_items": world.catalogue.n_items - len(parent.item_ids),
        "rows": len(world.now), "new_rows": len(world.now) - len(world.old), "questions": len(world.asked.truths),
    }  # fmt: skip
    print_rows(f"{facts}", rows, ("ndcg@10", "cpu_s", "trained", "encoder_moved"))
    keep("refresh", {"rows": rows, "facts": facts, "bench": bench.model_dump(), "passed": passed})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
