"""Whether a task without targets helps: the same fit without one, with gaps to fill, and with a contrast.

    python -m bench.pretraining data=<folder or loader's name> [seeds=3 epochs=8 key=value … for fit]

Every row is the validation NDCG@10 of the best epoch, so that nothing is chosen on what is reported elsewhere. Writes
bench/results/pretraining.json.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pydantic import Field

from bench.commands import print_rows, split_words
from bench.report import keep
from cluster.config import Config
from train.config import FitRun
from train.content import describe
from train.data.source import prepare_data
from train.data.split import make_split
from train.loop import FitConfig
from train.pipeline import buys_again
from train.session import fit_here
from train.training_set import TrainingSet
from train.validation import ValidationSet

VARIANTS: dict[str, tuple[str, ...]] = {
    "without": (),
    "masked beside": ("pretraining.task=masked",),
    "masked before": ("pretraining.task=masked", "pretraining.epochs={before}"),
    "contrastive beside": ("pretraining.task=contrastive",),
    "contrastive before": ("pretraining.task=contrastive", "pretraining.epochs={before}"),
}


class PretrainingBench(Config):
    """How often each variant is trained."""

    seeds: int = Field(3, ge=1, description="runs of each variant")
    before: int = Field(2, ge=1, description="epochs, of all, of the task alone")


def training_set(config: FitRun) -> TrainingSet:
    """Return what `fit` would train on."""
    prepared = prepare_data(config)
    split = make_split(prepared.interactions, config.holdout, prepared.has_clock)
    keep_seen = buys_again(split.train) if config.keep_seen is None else config.keep_seen
    valid = ValidationSet.sample(split, config.training.valid_queries, not keep_seen, seed=0)
    content = describe(prepared, split.train, config.features).content
    return TrainingSet.of(prepared.catalogue, split.train, valid, content, split.wanted)


def best_ndcg(config: FitRun, training: FitConfig, data: TrainingSet) -> tuple[float, float]:
    """Return the best epoch's NDCG@10 and the CPU seconds of all epochs."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        fitted = fit_here(config.model, training, data, Path(place))
    return max(metrics["ndcg@10"] for metrics in fitted.history), time.process_time() - start


def main(words: list[str]) -> int:
    mine, passed = split_words(words, PretrainingBench)
    bench = PretrainingBench.parse(mine)
    rows: dict[str, dict[str, float]] = {}
    data = training_set(FitRun.parse(passed))
    for name, extra in VARIANTS.items():
        config = FitRun.parse([*passed, *(word.format(before=bench.before) for word in extra)])
        trainings = [config.training.model_copy(update={"seed": seed}) for seed in range(bench.seeds)]
        scores, costs = np.array([best_ndcg(config, training, data) for training in trainings]).T
        rows[name] = {"ndcg@10": scores.mean(), "spread": scores.std(), "cpu_s": costs.mean()}
        print(name, {key: round(float(value), 4) for key, value in rows[name].items()}, flush=True)
    print_rows(f"validation, {bench.seeds} seeds", rows, ("ndcg@10", "spread", "cpu_s"))
    keep("pretraining", {"rows": rows, "seeds": bench.seeds, "before": bench.before, "passed": passed})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
