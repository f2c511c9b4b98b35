"""Sequences per second of processor time: our transformer beside RecTools' SASRec, on the same data and one thread.

    python -m bench.train_speed data=<folder> [key=value …]

Both have one layer of width 64 with two heads, read 50 items, and see all but the last two events of each user, which
the literature holds out for choosing and for testing. RecTools is installed into `environment` first, with
the versions of bench/training/requirements.txt. Every run is a process of its own; contenders take turns, and medians
are told. Writes bench/results/train_speed.json.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from bench.commands import ONE_THREAD, ROOT
from bench.report import keep, show
from cluster.storage import write_whole
from train.data.prepared import Prepared
from train.data.source import DataConfig, prepare_data
from train.loop import FitConfig

REQUIREMENTS = ROOT / "bench/training/requirements.txt"
HELD_OUT = 2  # events of each user
SHAPE = {"n_factors": 64, "n_blocks": 1, "n_heads": 2, "session_max_len": 50}


class SpeedConfig(DataConfig):
    """What is compared, and how often."""

    repeats: int = Field(3, ge=1, description="processes per contender; medians are told")
    batches: int = Field(20, ge=1, description="batches of RecTools that are timed, after two more")
    sampled_batch: int = Field(32, ge=1, description="its batch size where it samples as many negatives as we do")
    environment: str = Field("var/rectools", description="folder of RecTools' own environment, made when missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to train, and the loss at which it is compared."""

    loss: str
    words: tuple[str, ...] = ()  # of our fit
    settings: dict[str, Any] | None = None  # of RecTools' SASRec, where it is theirs


def contenders(config: SpeedConfig) -> dict[str, Contender]:
    """Return who is compared, our default first; RecTools' own default is softmax.

    Its sampled losses draw negatives for each position, ours for the whole step: with BCE it has one, ours has 1,024.
    """
    theirs, negatives = SHAPE | {"batches": config.batches}, FitConfig.parse([]).negatives
    sampled = {"loss": "sampled_softmax", "n_negatives": negatives, "batch_size": config.sampled_batch}
    return {
        "ours, sampled softmax": Contender(loss="sampled softmax"),
        "ours, softmax": Contender(loss="softmax", words=("loss=softmax",)),
        "ours, BCE": Contender(loss="BCE", words=("loss=binary_cross_entropy",)),
        "RecTools, softmax": Contender(loss="softmax", settings=theirs),
        "RecTools, sampled softmax": Contender(loss="sampled softmax", settings=theirs | sampled),
        "RecTools, BCE": Contender(loss="BCE", settings=theirs | {"loss": "BCE", "n_negatives": 1}),
    }


def environment(folder: Path) -> str:
    """Return the Python of RecTools' environment."""
    python, installed = folder / "bin/python", folder / "installed.txt"
    if not installed.exists() or installed.read_text() != REQUIREMENTS.read_text():
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        write_whole(installed, REQUIREMENTS.read_text())
    return str(python.absolute())


def training_part(prepared: Prepared) -> Prepared:
    """Return the data without each user's last two events."""
    history = prepared.interactions
    left = history.offsets[1:][history.user_idx] - np.arange(len(history))
    return replace(prepared, interactions=history.where(left > HELD_OUT))


def write_events(prepared: Prepared, path: Path) -> None:
    """Write histories as RecTools reads them; a day passes between two events, since only their order counts."""
    history = prepared.interactions
    day = pd.to_timedelta(range(len(history)), unit="D") / 1000
    frame = {"user_id": history.user_idx, "item_id": history.item_idx, "weight": 1.0, "datetime": pd.Timestamp(0) + day}
    pd.DataFrame(frame).to_csv(path, index=False)


def sequences_per_s(words: list[str]) -> float:
    """Return the sequences per second of processor time that a process on one thread tells."""
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | ONE_THREAD)
    told = json.loads(done.stdout.splitlines()[-1])
    return told["sequences"] / told["cpu_s"]


def race(config: SpeedConfig, prepared: Prepared, theirs: str) -> dict[str, list[float]]:
    """Return each contender's speeds; they take turns. theirs: the Python that has RecTools."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, events = Path(place) / "prepared", Path(place) / "events.csv"
        prepared.save(folder)
        write_events(prepared, events)
        rectools = [theirs, str(ROOT / "bench/training/rectools_sasrec.py"), str(events)]
        liveshelf = [sys.executable, "-m", "bench.training.liveshelf_epoch", str(folder)]
        for _ in range(config.repeats):
            for name, one in contenders(config).items():
                words = [*rectools, json.dumps(one.settings)] if one.settings else [*liveshelf, *one.words]
                found.setdefault(name, []).append(sequences_per_s(words))
    return found


def main(words: list[str]) -> int:
    config = SpeedConfig.parse(words)
    prepared, theirs = training_part(prepare_data(config)), environment(Path(config.environment))
    found = race(config, prepared, theirs)
    rows = table(found, {name: one.loss for name, one in contenders(config).items()})
    show(f"{prepared.name}: {prepared.interactions.n_users:,} users, one thread", rows)
    settings = {name: asdict(one) for name, one in contenders(config).items()}
    keep("train_speed", {"sequences_per_cpu_s": found, "rows": rows, "settings": settings})
    return 0


def table(found: dict[str, list[float]], losses: dict[str, str]) -> list[dict[str, Any]]:
    """Return a row per contender: its median, and how many times as fast ours is, at the same loss and by default."""
    medians = {name: statistics.median(runs) for name, runs in found.items()}
    ours = {losses[name]: median for name, median in medians.items() if name.startswith("ours")}
    default = next(iter(medians.values()))
    return [
        {
            "": name,
            "sequences/CPU s": f"{median:,.0f}",
            "range": f"{min(found[name]):,.0f} – {max(found[name]):,.0f}",
            "same loss": f"{ours[losses[name]] / median:.1f}×",
            "our default": f"{default / median:.1f}×",
        }
        for name, median in medians.items()
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
