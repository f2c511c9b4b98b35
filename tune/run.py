"""`python tune/run.py [config.yaml …] data=… key=value …`: search for better settings, and publish what they train.

Several files, or a pattern such as `config=tune/configs/*.yaml`, are as many sweeps, one after the other.
"""

import sys
from dataclasses import replace
from pathlib import Path

if not __package__:  # started as a file: let `tune.…` be found whatever the working directory
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rich.console import Console

from cluster.command import INTERRUPTED, run_command
from cluster.config import read_yaml
from cluster.errors import ConfigError
from train.config import FitRun
from train.content import describe
from train.data.prepared import Prepared
from train.data.source import prepare_data
from train.data.split import make_split
from train.evaluation.printed import metrics_table
from train.models.registered import require_servable
from train.pipeline import buys_again, chosen_and_reported, fit_bundle
from train.session import SCORE
from train.training_set import TrainingSet
from train.validation import ValidationSet
from tune.config import SweepConfig
from tune.plots import history_figure, parallel_figure, save
from tune.results import Trial, as_table, best_first, is_complete, read_results, write_results
from tune.spaces import check_space, with_params
from tune.sweep import sweep

QUICK = Path(__file__).with_name("configs") / "quick.yaml"

console = Console()


def read_config(words: list[str]) -> SweepConfig:
    """Return the settings of the command line, on top of those in a file."""
    config = SweepConfig.parse(words, read_yaml(QUICK))
    check_space(config.space, config.fit)
    if config.promote:
        require_servable(config.fit.model)
    return config


def run(config: SweepConfig) -> int:
    """Run a sweep, or what is missing of it; show and write what it found; return the exit code."""
    prepared = prepare_data(config.fit)
    data = tuning_set(config.fit, prepared)
    folder = config.folder(data)
    results = folder / "results.json"
    trials = read_results(results) if results.exists() else sweep(config, data, folder)
    if trials:
        console.print(as_table(trials, SCORE))
    if not is_complete(trials, config):
        ended = sum(trial.finished for trial in trials)
        console.print(f"{ended} of {config.trials} trials ended; the same command runs the others")
        return INTERRUPTED
    write_results(results, trials, config, SCORE)
    console.print(f"results: {results}", soft_wrap=True)
    for path in draw(config, trials, folder):
        console.print(f"picture: {path}", soft_wrap=True)
    if config.promote:
        publish(with_params(config.fit, best_first(trials)[0].params), prepared)
    return 0


def tuning_set(config: FitRun, prepared: Prepared) -> TrainingSet:
    """Return what trials train on and are compared by; the queries that a final report uses are not among them."""
    split = make_split(prepared.interactions, config.holdout, prepared.has_clock)
    keep_seen = buys_again(split.train) if config.keep_seen is None else config.keep_seen
    queries, _ = chosen_and_reported(split, config)
    valid = ValidationSet.sample(
        replace(split, valid=queries), config.training.valid_queries, not keep_seen, config.training.seed
    )
    if valid is None:
        raise ConfigError("nothing is held out to compare trials by; give more data or a larger valid_fraction")
    content = describe(prepared, split.train, config.features).content
    return TrainingSet.of(prepared.catalogue, split.train, valid, content, split.wanted)


def draw(config: SweepConfig, trials: list[Trial], folder: Path) -> list[Path]:
    """Write the pictures of a sweep and return their paths."""
    return [
        save(history_figure(trials, SCORE), folder / "history.png"),
        save(parallel_figure(trials, config.space, SCORE), folder / "parallel.png"),
    ]


def publish(config: FitRun, prepared: Prepared) -> None:
    """Train with the best settings and publish the bundle."""
    fitted = fit_bundle(config, prepared)
    console.print(metrics_table(fitted.table))
    console.print(f"bundle: {fitted.folder}", soft_wrap=True)


def each_sweep(words: list[str]) -> list[list[str]]:
    """Return the words of each sweep: one for every file of settings that the words name."""
    files, others = list[str](), list[str]()
    for word in words:
        if not SweepConfig.names_file(word):
            others.append(word)
            continue
        path = Path(word.removeprefix("config="))
        found = sorted(map(str, path.parent.glob(path.name))) if path.name else []
        files += found or [str(path)]  # who reads it says that it is no file
    return [[f"config={file}", *others] for file in files] or [others]


def run_all(words: list[str]) -> int:
    """Run the sweeps that words ask for, none of them before all can be read; return the exit code of the last one."""
    for config in [read_config(own) for own in each_sweep(words)]:
        if code := run(config):
            return code
    return 0


def main(words: list[str]) -> int:
    """Run the command; return the exit code."""
    return run_command(lambda: run_all(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
