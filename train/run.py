"""`python train/run.py <command> key=value …`: prepare, fit, evaluate, recommend, export."""

import shutil
import sys
from pathlib import Path

if not __package__:  # started as a file: let `train.…` be found whatever the working directory
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rich.console import Console
from rich.table import Table as Printed

from cluster.errors import LiveshelfError, StorageError
from cluster.storage import whole_folder
from cluster.telemetry import configure_logging
from train.batch import recommend
from train.bundle_state import check_bundle
from train.config import EvaluateRun, ExportRun, FitRun, PrepareRun, RecommendRun
from train.data.report import as_table
from train.data.source import prepare_data
from train.evaluation.offline import Table
from train.pipeline import evaluate_bundle, fit_bundle
from train.registry import Registry

console = Console()


def prepare_command(words: list[str]) -> None:
    """Check and number a source; write the arrays that training reads."""
    config = PrepareRun.parse(words)
    prepared = prepare_data(config)
    console.print(as_table(prepared.report, prepared.name))
    prepared.save(Path(config.out))
    console.print(f"prepared data: {config.out}")


def fit_command(words: list[str]) -> None:
    """Train on a source and publish a bundle."""
    config = FitRun.parse(words)
    prepared = prepare_data(config)
    console.print(as_table(prepared.report, prepared.name))
    fitted = fit_bundle(config, prepared)
    console.print(metrics_table(fitted.table))
    console.print(f"bundle: {fitted.folder}")


def evaluate_command(words: list[str]) -> None:
    """Measure a published bundle on a source."""
    console.print(metrics_table(evaluate_bundle(EvaluateRun.parse(words))))


def recommend_command(words: list[str]) -> None:
    """Write a list for each of many users."""
    config = RecommendRun.parse(words)
    frame = recommend(config)
    console.print(f"recommendations: {config.out} ({len(frame):,} rows, {frame['user_id'].nunique():,} users)")


def export_command(words: list[str]) -> None:
    """Copy a checked bundle to a folder of its own."""
    config = ExportRun.parse(words)
    folder = Registry(config.registry).find(config.bundle)
    check_bundle(folder)
    if Path(config.out).exists():
        raise StorageError(f"out={config.out} exists; name a new folder")
    with whole_folder(Path(config.out)) as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
    console.print(f"bundle: {config.out}")


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
    printed = Printed("", *names, title="held-out queries", title_justify="left")
    for row, metrics in table.items():
        printed.add_row(row, *(f"{metrics[name]:.4f}" if name in metrics else "" for name in names))
    return printed


def main(words: list[str]) -> int:
    """Run one command; return the exit code."""
    configure_logging("WARNING")
    if not words or words[0] not in COMMANDS:
        console.print("usage: python train/run.py <command> key=value …", highlight=False)
        for name, command in COMMANDS.items():
            console.print(f"  {name:<10} {command.__doc__}", highlight=False)
        return 2
    try:
        COMMANDS[words[0]](words[1:])
    except LiveshelfError as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
