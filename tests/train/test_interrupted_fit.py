"""A fit that is interrupted goes on from where it was."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster.command import INTERRUPTED
from tests.train.small import left_in, small_words, write_ring

RUN = Path(__file__).parents[2] / "train" / "run.py"


def interrupt_once(command: list[str], checkpoints: Path, done: Callable[[set[int]], bool]) -> set[int]:
    """Start a fit, press Ctrl-C as soon as its checkpoints satisfy `done`, and return the epochs they hold."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not done(kept_epochs(checkpoints)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)  # it tells of a checkpoint by its folder alone
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, error
    assert error.splitlines() == ["interrupted; the same command goes on from where it was"]
    return kept_epochs(checkpoints)


def kept_epochs(checkpoints: Path) -> set[int]:
    return {int(path.name.removeprefix("epoch-")) for path in checkpoints.glob("run-*/epoch-*")}


def test_an_interrupted_fit_keeps_its_checkpoint_and_goes_on_from_it(tmp_path: Path) -> None:
    data = write_ring(tmp_path / "ring", n_users=60)
    command = [sys.executable, str(RUN), "fit", *small_words(data, tmp_path, "epochs=2000")]
    first = interrupt_once(command, tmp_path / "checkpoints", lambda epochs: max(epochs, default=0) >= 5)
    # Begun anew, the run would first come to hold small numbers.
    second = interrupt_once(
        command, tmp_path / "checkpoints", lambda epochs: max(epochs, default=0) not in {0, max(first)}
    )
    assert max(second) > max(first)
    assert left_in(tmp_path) == []
