"""Distributed training: one Ray Train worker and two, on the same data and seed, reach the same metric.

    python -m bench.workers data=<folder or loader's name> [key=value … for fit]

Writes bench/results/workers.json.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.commands import ROOT
from cluster.storage import write_whole
from train.config import FitRun
from train.data.source import prepare_data
from train.pipeline import fit_bundle

WORKERS = (1, 2)
METRICS = ("ndcg@10", "recall@10")


def main(words: list[str]) -> int:
    """Train once per number of workers; print and write how they compare."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for workers in WORKERS:
            places = [f"{name}={folder}/{name}-{workers}" for name in ("registry", "checkpoints", "rejects")]
            config = FitRun.parse([*words, *places, f"workers={workers}"])
            prepared = prepare_data(config)
            began = time.perf_counter()
            table = fit_bundle(config, prepared).table
            model, engine = table["sequence model"], table["liveshelf"]
            rows[workers] = {"wall_s": time.perf_counter() - began} | {
                f"{part} {metric}": row[metric]
                for part, row in (("model", model), ("engine", engine))
                for metric in METRICS
            }
    show(rows)
    result = Path(ROOT) / "bench" / "results" / "workers.json"
    settings = [word for word in words if not word.startswith("data=")]
    write_whole(result, json.dumps({"settings": settings, "workers": rows}, indent=1))
    Console().print(f"results: {result}")
    return 0


def show(rows: dict[int, dict[str, float]]) -> None:
    """Print a column per number of workers, and their ratio."""
    table = Table("", *(f"{workers} workers" for workers in rows), "ratio")
    for name in rows[WORKERS[0]]:
        one, two = (rows[workers][name] for workers in WORKERS)
        table.add_row(name, f"{one:.4g}", f"{two:.4g}", f"{two / one:.3f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
