"""The commands of a user, run as a user runs them, and what they cost."""

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command printed and took."""

    output: str
    wall_s: float
    cpu_s: float  # of the command and of the children that it waited for

    def named(self, name: str) -> str:
        """Return what follows `name: ` in the output."""
        return next(line for line in self.output.splitlines() if line.startswith(f"{name}: ")).partition(": ")[2]


class FailedCommand(Exception):
    """A command ended before it was done; the text says how."""


def train_command(folder: Path, *words: str) -> Ran:
    """Run `train/run.py` in `folder` and return what it printed; its progress goes where ours goes."""
    try:
        return run_python(folder, str(ROOT / "train/run.py"), *words)
    except FailedCommand as failed:
        sys.exit(f"train/run.py {words[0]} {failed}")


def run_python(folder: Path, *words: str, max_cpu_s: int | None = None, errors: int | None = None) -> Ran:
    """Run Python with `words` in `folder` and return what it printed.

    It has one thread: where others work beside it, threads that wait for each other would cost many times the work.
    max_cpu_s: with it, the command has so much processor time at most. errors: where its standard error
    goes, as for subprocess; its last line, where it can be read, tells of a failure.
    """
    wall, cpu = time.perf_counter(), _children_cpu_s()
    env = os.environ | {"COLUMNS": "120"} | ONE_THREAD
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True, env=env,
        preexec_fn=partial(limit_cpu, max_cpu_s),
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise FailedCommand("; ".join([why_ended(done.returncode, max_cpu_s), *said]))
    return Ran(output=done.stdout, wall_s=round(time.perf_counter() - wall, 1), cpu_s=round(_children_cpu_s() - cpu, 1))


def limit_cpu(seconds: int | None) -> None:
    """Let this process take so much processor time and no more."""
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def why_ended(returncode: int, max_cpu_s: int | None) -> str:
    """Return in words how a process ended."""
    if returncode == -signal.SIGXCPU:
        return f"took more than max_cpu_s={max_cpu_s} seconds; raise it, or give fewer epochs"
    if returncode == -signal.SIGKILL:
        return "was killed, most likely because memory ran out"
    return f"ended with {returncode}"


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
