"""The commands of a user, run as a user runs them, and what they cost."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command printed and took."""

    output: str
    wall_s: float
    cpu_s: float  # of the command and of the children that it waited for

    def named(self, name: str) -> str:
        """Return what follows `name: ` in the output."""
        return next(line for line in self.output.splitlines() if line.startswith(f"{name}: ")).partition(": ")[2]


def train_command(folder: Path, *words: str) -> Ran:
    """Run `train/run.py` in `folder` and return what it printed; its progress goes where ours goes."""
    wall, cpu = time.perf_counter(), _children_cpu_s()
    done = subprocess.run(
        [sys.executable, str(ROOT / "train/run.py"), *words], cwd=folder, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"COLUMNS": "120"},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"train/run.py {words[0]} ended with {done.returncode}\n{done.stdout}")
    return Ran(output=done.stdout, wall_s=round(time.perf_counter() - wall, 1), cpu_s=round(_children_cpu_s() - cpu, 1))


def split_words(words: list[str], own: type) -> tuple[list[str], list[str]]:
    """Return the words that are settings of a bench, and those to be passed on to the command."""
    fields = getattr(own, "model_fields", {})
    mine = [word for word in words if word.partition("=")[0] in fields]
    return mine, [word for word in words if word not in mine]


def print_rows(title: str, rows: dict[str, dict[str, float]], names: tuple[str, ...]) -> None:
    """Print a row per method and a column per metric, within 80 characters."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(no_wrap=True)
    for name in names:
        table.add_column(name.replace("_", "\n").replace("@", "\n@"), justify="right", no_wrap=True)
    for row, metrics in rows.items():
        table.add_row(row, *(f"{metrics[name]:.4f}" if name in metrics else "" for name in names))
    Console().print(table)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
