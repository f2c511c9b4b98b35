"""`python train/run.py <command> key=value …`: prepare, fit, evaluate, compress, recommend, export."""

import gc
import json
import shutil
import sys
from pathlib import Path

if not __package__:  # started as a file: let `train.…` be found whatever the working directory
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rich.console import Console

from cluster.command import run_one_of, say
from cluster.storage import whole_folder, write_whole
from train.batch import recommend
from train.bundle_state import check_bundle
from train.compression.compress import compress, publish
from train.config import CompressRun, EvaluateRun, ExportRun, FitRun, PrepareRun, RecommendRun
from train.data.report import Report, as_table
from train.data.source import prepare_data
from train.data.split import make_split
from train.evaluation.outcome import Evaluation
from train.evaluation.printed import duel_lines, metrics_table, segments_table
from train.evaluation.summary import ReportConfig, by_segment, duel, summarise
from train.pipeline import fit_bundle, measure_bundle
from train.registry import Registry

console = Console()


def prepare_command(words: list[str]) -> None:
    """Check and number a source; write the arrays that training reads."""
    config = PrepareRun.parse(words)
    prepared = prepare_data(config)
    console.print(as_table(prepared.report, prepared.name))
    prepared.save(Path(config.out))
    say(f"prepared data: {config.out}")


def fit_command(words: list[str]) -> None:
    """Train on a source and publish a bundle."""
    config = FitRun.parse(words)
    prepared = prepare_data(config)
    split = make_split(prepared.interactions, config.holdout, prepared.has_clock)
    console.print(as_table(Report(prepared.report.steps + split.report.steps), prepared.name))
    published = fit_bundle(config, prepared, split)
    if published.report.steps:
        console.print(as_table(published.report, "warm start"))
    show(published.evaluation, config.report)
    say(f"bundle: {published.folder}")


def evaluate_command(words: list[str]) -> None:
    """Measure a published bundle on a source."""
    config = EvaluateRun.parse(words)
    show(measure_bundle(config), config.report)


def compress_command(words: list[str]) -> None:
    """Make a smaller bundle from a published one, if it loses little."""
    config = CompressRun.parse(words)
    compressed = compress(config)
    console.print(compressed.report.table())
    say(compressed.report.sentence())
    if config.out:
        write_whole(Path(config.out), json.dumps(compressed.report.to_json(), indent=1))
    say(f"bundle: {publish(compressed, config)}")


def recommend_command(words: list[str]) -> None:
    """Write a list for each of many users."""
    config = RecommendRun.parse(words)
    frame = recommend(config)
    say(f"recommendations: {config.out} ({len(frame):,} rows, {frame['user_id'].nunique():,} users)")


def export_command(words: list[str]) -> None:
    """Copy a checked bundle to a folder of its own."""
    config = ExportRun.parse(words)
    folder = Registry(config.registry).find(config.bundle)
    check_bundle(folder)
    with whole_folder(Path(config.out)) as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
    say(f"bundle: {config.out}")


COMMANDS = {
    "prepare": prepare_command,
    "fit": fit_command,
    "evaluate": evaluate_command,
    "compress": compress_command,
    "recommend": recommend_command,
    "export": export_command,
}


def show(evaluation: Evaluation, config: ReportConfig) -> None:
    """Print the table and whatever else was asked for."""
    console.print(metrics_table(summarise(evaluation, config)))
    if config.segments:
        console.print(segments_table(by_segment(evaluation, config), evaluation.k))
    if config.compare:
        say("\n".join(duel_lines(duel(evaluation, config))))


def main(words: list[str]) -> int:
    """Run one command; return the exit code."""
    return run_one_of(COMMANDS, words, "python train/run.py")


if __name__ == "__main__":
    # What the imports made stays to the end: no collection need walk through it, not even the last one, half a second.
    gc.freeze()
    sys.exit(main(sys.argv[1:]))
