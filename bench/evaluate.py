"""What evaluating a bundle costs: processor's time and waiting, by one process and by one a core.

    python -m bench.evaluate data=<folder or loader> [repeats=3] [key=value … for fit]

Fits once, then asks every held-out query, in turns by one process and by several, each on one thread; the least of each
is told. Fails where two tables differ. Writes bench/results/evaluate.json.
"""

import sys
import tempfile
from pathlib import Path

from pydantic import Field

from bench.commands import Ran, split_words, train_command
from bench.report import keep, show
from cluster.config import Config
from train.forked import cores

EVERY_QUERY = 10_000_000


class EvaluateConfig(Config):
    """What is evaluated, and how often."""

    data: str = Field(description="as for `fit`")
    repeats: int = Field(3, ge=1, description="evaluations by each number of processes")


def main(words: list[str]) -> int:
    mine, passed = split_words(words, EvaluateConfig)
    config = EvaluateConfig.parse(mine)
    data = str(Path(config.data).resolve()) if Path(config.data).exists() else config.data
    numbers = sorted({1, cores()})
    with tempfile.TemporaryDirectory() as place:
        train_command(Path(place), "fit", f"data={data}", *passed)
        asked = ("evaluate", f"data={data}", f"report_queries={EVERY_QUERY}")
        rounds = [
            {number: train_command(Path(place), *asked, f"processes={number}") for number in numbers}
            for _ in range(config.repeats)
        ]
    if len({ran.output for turn in rounds for ran in turn.values()}) > 1:
        sys.exit("evaluations of one bundle differ")
    rows = [told(number, [turn[number] for turn in rounds]) for number in numbers]
    show("evaluate, every query", rows)
    keep("evaluate", {"data": Path(data).name, "rows": rows, "bench": {"repeats": config.repeats}, "passed": passed})
    return 0


def told(number: int, runs: list[Ran]) -> dict[str, float]:
    """Return the least that a number of processes took."""
    return {
        "processes": number, "wall_s": min(run.wall_s for run in runs), "cpu_s": min(run.cpu_s for run in runs)
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
