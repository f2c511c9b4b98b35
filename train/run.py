"""`python train/run.py <command> key=value …`: prepare, fit, evaluate, recommend, export."""

import shutil
import sys
from pathlib import Path

if not __package__:  # started as a file: let `train.…` be found whatever the working directory
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Printed

from cluster.errors import LiveshelfError
from cluster.storage import whole_folder
from cluster.telemetry import configure_logging
from train.batch import recommend
from train.bundle_state import check_bundle
from train.config import EvaluateRun, ExportRun, FitRun, PrepareRun, RecommendRun
from train.data.report import Report, as_table
from train.data.source import prepare_data
from train.data.split import make_split
from train.evaluation.offline import Table
from train.pipeline import evaluate_bundle, fit_bundle
from train.registry import Registry

FAILED, USAGE, INTERRUPTED = 1, 2, 130

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
    console.print(metrics_table(published.table))
    say(f"bundle: {published.folder}")


def evaluate_command(words: list[str]) -> None:
    """Measure a published bundle on a source."""
    console.print(metrics_table(evaluate_bundle(EvaluateRun.parse(words))))


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
    "recommend": recommend_command,
    "export": export_command,
}


def metrics_table(table: Table) -> Printed:
    """Return the rows of an evaluation as a table to print."""
    names = list(dict.fromkeys(name for metrics in table.values() for name in metrics))
    printed = Printed(title="held-out queries", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    printed.add_column(no_wrap=True)
    for name in names:  # a word a line, so that all columns fit into 80 characters
        printed.add_column(name.replace("_", "\n").replace("@", "\n@"), justify="right", no_wrap=True)
    for row, metrics in table.items():
        printed.add_row(row, *(f"{metrics[name]:.4f}" if name in metrics else "" for name in names))
    return printed


def main(words: list[str]) -> int:
    """Run one command; return the exit code."""
    configure_logging("WARNING")
    if not words or words[0] not in COMMANDS:
        say("usage: python train/run.py <command> key=value …")
        for name, command in COMMANDS.items():
            say(f"  {name:<10} {command.__doc__}")
        return USAGE
    try:
        COMMANDS[words[0]](words[1:])
    except (LiveshelfError, OSError) as error:
        complain(f"error: {error}")
        return FAILED
    except (KeyboardInterrupt, SystemExit):  # Ray Train turns Ctrl-C into an exit
        complain("interrupted; the same command goes on from the last checkpoint")
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """Print a line as it is, however long."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print a line to standard error."""
    Console(stderr=True).print(text, style="red", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
