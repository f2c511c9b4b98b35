"""Rows of the whole engine: the commands of a user, `fit` and `recommend`, and lists scored apart from its own code."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from bench.commands import ROOT, Ran, run_python
from bench.comparison.families import names_among
from bench.comparison.held_out import ASKED, IDS_ONLY, VISIBLE
from bench.comparison.job import n_parameters
from bench.comparison.ranks import Ranks, metrics
from bench.score import half_way_rank
from cluster.config import Config, read_yaml
from train.bundle import read_bundle

LISTED = 50  # enough for ten places, and for all that score the same as the tenth


class EngineRow(Config):
    """A way to run the engine."""

    ids_only: bool = Field(default=False, description="whether items are numbers and nothing more")
    settings: dict[str, Any] = Field(default={}, description="settings of `fit`, by short name or by group")


def engine_rows(asked: str, path: str, given: dict[str, Any]) -> dict[str, EngineRow]:
    """Return the rows asked for of a file of name → EngineRow; `given` settings go below a row's own."""
    known = {name: EngineRow.checked(values or {}) for name, values in read_yaml(Path(path)).items()}
    return {
        name: EngineRow(ids_only=known[name].ids_only, settings=given | known[name].settings)
        for name in names_among(asked, list(known))
    }


def measure_engine(row: EngineRow, seed: int, held: Path, max_cpu_s: int) -> dict[str, Any]:
    """Fit and recommend on the data in `held` and return how the lists did."""
    data = held / (IDS_ONLY if row.ids_only else VISIBLE)
    asked = pd.read_parquet(held / ASKED)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        words = ["split=leave_one_out", "workers=0", *as_words(row.settings), f"training.seed={seed}"]
        fit = train(folder, max_cpu_s, "fit", f"data={data}", *words)
        ask = ("recommend", f"data={data}", f"users={held / ASKED}", f"k={LISTED}", "out=lists.parquet")
        filtered = train(folder, max_cpu_s, *ask, "keep_seen=false")
        found = ranks_in_lists(pd.read_parquet(folder / "lists.parquet"), asked)
        train(folder, max_cpu_s, *ask, "keep_seen=true")
        kept = ranks_in_lists(pd.read_parquet(folder / "lists.parquet"), asked)
        model = read_bundle(folder / fit.named("bundle")).model
    return metrics(Ranks(filtered=found, kept=kept)) | {
        "chosen": {}, "fit_cpu_s": fit.cpu_s, "evaluate_cpu_s": filtered.cpu_s, "parameters": n_parameters(model),
    }  # fmt: skip


def train(folder: Path, max_cpu_s: int, *words: str) -> Ran:
    """Run a command of `train/run.py` in `folder`."""
    return run_python(folder, str(ROOT / "train/run.py"), *words, max_cpu_s=max_cpu_s, errors=subprocess.PIPE)


def as_words(settings: dict[str, Any], group: str = "") -> list[str]:
    """Return nested settings as a command line has them."""
    words = []
    for name, value in settings.items():
        if isinstance(value, dict):
            words += as_words(value, f"{group}{name}.")
        else:
            words.append(f"{group}{name}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def ranks_in_lists(lists: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
    """Return the rank of each asked user's item in their list, inf where it is not in it."""
    items = lists.groupby("user_id")["item_id"].agg(list)
    scores = lists.groupby("user_id")["score"].agg(np.array)
    pairs = zip(asked["user_id"], asked["item_id"], strict=True)
    return np.array([_rank(items[user], scores[user], item) if user in items else np.inf for user, item in pairs])


def _rank(items: list[str], scores: np.ndarray, item: str) -> float:
    return half_way_rank(scores, scores[items.index(item)]) if item in items else float("inf")
