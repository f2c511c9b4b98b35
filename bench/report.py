"""How a measurement is shown and kept."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cluster.storage import write_whole

RESULTS = Path(__file__).resolve().parent / "results"


def quantiles(latencies_ms: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds."""
    return {f"p{q}_ms": round(float(np.percentile(latencies_ms, q)), 2) for q in (50, 99)}


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows that have the same keys."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def keep(name: str, content: Mapping[str, Any]) -> None:
    """Write bench/results/<name>.json with what the machine was, and say so; of folders passed, the names alone."""
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "python": platform.python_version()}
    if "passed" in content:
        content = {**content, "passed": [named(word) for word in content["passed"]]}
    path = RESULTS / f"{name}.json"
    write_whole(path, json.dumps({**content, "machine": machine}, indent=1) + "\n")
    print(f"wrote {path.relative_to(RESULTS.parents[1])}")


def named(word: str) -> str:
    """Return a `key=value` with a path in it cut to its last name."""
    key, equals, value = word.partition("=")
    return f"{key}{equals}{Path(value).name}" if "/" in value else word
