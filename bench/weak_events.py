"""What views are good for where only purchases count: ignored, aimed at, read as context, or learned from first.

    python -m bench.weak_events [data=<folder with event types>] [seeds=3 epochs=12 key=value … for fit]

Without data a shop is generated: shoppers look at items of a kind, then perhaps buy one of them or what goes with it.
Every row is asked for the same purchases of the last tenth of the time. Writes bench/results/weak_events.json.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from bench.commands import print_rows, split_words
from bench.report import keep
from cluster.config import Config
from train.config import FitRun
from train.data.schema import Interactions, Split, Wanted
from train.data.source import prepare_data
from train.data.split import make_split
from train.pipeline import buys_again
from train.session import fit_here
from train.training_set import TrainingSet
from train.validation import ValidationSet

WEAK = 2.0  # views and clicks are worth 1, carts 3, purchases 5
START = pd.Timestamp("2024-01-01", tz="UTC")


class WeakEventsBench(Config):
    """The shop, if none is given, and how often each row is trained."""

    data: str = Field("", description="a folder with event types; a generated shop when empty")
    seeds: int = Field(3, ge=1, description="runs of each row")
    shoppers: int = Field(1_500, ge=10, description="of the generated shop")
    kinds: int = Field(30, ge=2, description="of items of the generated shop, 20 each")


def write_shop(config: WeakEventsBench, folder: Path) -> Path:
    """Write a shop whose shoppers look before they buy: two in five visits end with a purchase."""
    rng, size, rows = np.random.default_rng(0), 20, []
    popularity = 1 / np.arange(1, size + 1)
    for shopper in range(config.shoppers):
        kinds = rng.choice(config.kinds, 3, replace=False)
        for visit in np.sort(rng.uniform(0, 365, rng.integers(3, 12))):
            kind = int(rng.choice(kinds)) * size
            seen = kind + rng.choice(size, rng.integers(2, 6), replace=False, p=popularity / popularity.sum())
            rows += [(shopper, item, "view", visit + 0.001 * place) for place, item in enumerate(seen)]
            if rng.random() < 0.4:
                liked = int(rng.choice(seen))
                bought = liked if rng.random() < 0.5 else kind + (liked - kind + 7) % size
                rows.append((shopper, bought, "purchase", visit + 0.01))
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type", "day"])
    events = events.assign(timestamp=START + pd.to_timedelta(events.pop("day"), unit="D"))
    folder.mkdir()
    events.astype({"user_id": str, "item_id": str}).to_parquet(folder / "events.parquet")
    return folder


def questions(split: Split, filter_seen: bool, size: int) -> ValidationSet:
    """Return the held-out purchases with everything before them."""
    asked = ValidationSet.sample(split, size, filter_seen, seed=0)
    if asked is None:
        sys.exit("no purchase is held out; give a longer history")
    return asked


def without_weak(split: Split) -> Split:
    """Return the same questions to a shop that kept purchases alone."""
    history, queries = split.history, split.valid
    strong = history.weight >= WEAK
    before = np.concatenate(([0], np.cumsum(strong)))
    first = history.offsets[queries.user_idx]
    cut = before[first + queries.cut] - before[first]
    train = split.train.where(split.train.weight >= WEAK)
    return Split(
        history=history.where(strong), train=train, counted=train, valid=replace(queries, cut=cut), test=split.test
    )


def trained(config: FitRun, data: TrainingSet, asked: ValidationSet, seed: int) -> tuple[dict[str, float], dict]:
    """Return how a model does after its last epoch, with the CPU seconds of all, and its weights."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        training = config.training.model_copy(update={"seed": seed})
        model = fit_here(config.model, training, data, Path(place)).model
    return {"ndcg@10": asked.ndcg(model), "cpu_s": time.process_time() - start}, model.state_dict()


def one_seed(
    config: FitRun, split: Split, plain: TrainingSet, filter_seen: bool, seed: int
) -> dict[str, dict[str, float]]:
    """Return a row per use of views."""
    n = config.training.valid_queries
    asked, alone, bought = questions(split, filter_seen, n), without_weak(split), Wanted(min_weight=WEAK)
    rows = {}
    rows["ignored"], _ = trained(config, replace(plain, train=alone.train), questions(alone, filter_seen, n), seed)
    rows["aimed at"], weights = trained(config, plain, asked, seed)
    rows["context"], _ = trained(config, replace(plain, wanted=bought), asked, seed)
    fewer = config.model_copy(
        update={"training": config.training.model_copy(update={"epochs": max(1, config.training.epochs // 4)})}
    )
    rows["aimed at, then context"], _ = trained(fewer, replace(plain, wanted=bought, start=weights), asked, seed)
    rows["aimed at, then context"]["cpu_s"] += rows["aimed at"]["cpu_s"]
    return rows


def kinds_of(interactions: Interactions) -> dict[str, int]:
    strong = int((interactions.weight >= WEAK).sum())
    return {"strong": strong, "weak": len(interactions) - strong}


def main(words: list[str]) -> int:
    mine, passed = split_words(words, WeakEventsBench)
    bench = WeakEventsBench.parse(mine)
    with tempfile.TemporaryDirectory() as place:
        data = bench.data or str(write_shop(bench, Path(place) / "shop"))
        config = FitRun.parse([f"data={data}", f"target_weight={WEAK:g}", "split=global_time", *passed])
        prepared = prepare_data(config)
    split = make_split(prepared.interactions, config.holdout, prepared.has_clock)
    filter_seen = not (buys_again(split.train) if config.keep_seen is None else config.keep_seen)
    plain = TrainingSet.of(prepared.catalogue, split.train, None)
    found = [one_seed(config, split, plain, filter_seen, seed) for seed in range(bench.seeds)]
    rows: dict[str, dict[str, float]] = {}
    for name in found[0]:
        scores = np.array([run[name]["ndcg@10"] for run in found])
        cost = float(np.mean([run[name]["cpu_s"] for run in found]))
        rows[name] = {"ndcg@10": scores.mean(), "spread": scores.std(), "cpu_s": cost}
    facts = kinds_of(split.train) | {"questions": len(split.valid)}
    print_rows(f"views: {facts}", rows, ("ndcg@10", "spread", "cpu_s"))
    keep("weak_events", {"rows": rows, "facts": facts, "bench": bench.model_dump(), "passed": passed})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
