"""A sweep over the real training loop."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.command import INTERRUPTED
from cluster.environment import ROOT
from tests.world import tiny_world, write_world
from tune.run import QUICK, main

BAD_RATE = 0.0002
TRIALS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tiny_world(n_users=120, n_items=48, orders_per_user=8), tmp_path_factory.mktemp("world"))


def words(world: Path, folder: Path) -> list[str]:
    """Return a command line that starts from a bad learning rate and keeps to `folder`."""
    return [
        f"data={world}", f"out={folder / 'tune'}", f"rejects={folder / 'rejects'}", f"learning_rate={BAD_RATE}",
        f"trials={TRIALS}", "epochs=6",
    ]  # fmt: skip


def results_in(folder: Path) -> dict[int, dict]:
    """Return number → trial of the one finished sweep below `folder`."""
    (path,) = (folder / "tune").glob("*/results.json")
    return {trial["number"]: trial for trial in json.loads(path.read_text())["trials"]}


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_beats_a_bad_learning_rate(ray_cluster: str, world: Path, tmp_path: Path) -> None:
    assert main(words(world, tmp_path)) == 0
    trials = results_in(tmp_path)
    best = max(trials.values(), key=lambda trial: trial["score"])
    assert sorted(trials) == list(range(1, TRIALS + 1))
    assert trials[1]["params"]["learning_rate"] == BAD_RATE
    assert best["params"]["learning_rate"] > BAD_RATE
    assert best["score"] > trials[1]["score"]
    assert {path.name for path in (tmp_path / "tune").glob("*/*.png")} == {"history.png", "parallel.png"}


@pytest.mark.ray
@pytest.mark.slow
def test_a_family_without_epochs_is_swept_too(ray_cluster: str, world: Path, tmp_path: Path) -> None:
    places = [f"out={tmp_path / 'tune'}", f"rejects={tmp_path / 'rejects'}"]
    assert main([str(QUICK.with_name("rules.yaml")), f"data={world}", *places, "trials=4"]) == 0
    trials = results_in(tmp_path)
    assert sorted(trials) == [1, 2, 3, 4]
    assert all(len(trial["scores"]) == 1 and trial["score"] > 0 for trial in trials.values())


@pytest.mark.ray
@pytest.mark.slow
def test_after_ctrl_c_the_same_command_runs_only_what_is_missing(world: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tune" / "run.py"), *words(world, tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ)
    ended_before = await_trial(first)
    first.send_signal(signal.SIGINT)
    rest = first.communicate(timeout=120)[0]
    assert first.returncode == INTERRUPTED
    assert "the same command runs the others" in rest
    second = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240, check=True)
    assert ended_before not in trial_numbers(second.stdout)
    assert sorted(results_in(tmp_path)) == list(range(1, TRIALS + 1))


def await_trial(process: subprocess.Popen[str]) -> int:
    """Return the number of the first trial that ends."""
    if process.stdout is not None:
        for line in process.stdout:
            if found := trial_numbers(line):
                return found[0]
    raise RuntimeError(f"no trial ended; exit code {process.wait()}")


def trial_numbers(output: str) -> list[int]:
    """Return which trials ended, by their lines."""
    return [int(number) for number in re.findall(rf"^trial (\d+)/{TRIALS}", output, flags=re.MULTILINE)]
