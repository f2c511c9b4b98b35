"""The watchdog ends the process that fell silent, that one alone, and only after it was patient."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from cluster.processes import started_at
from serve.watchdog import PATIENCE, Watchdog


class Asked:
    """A process that gives its sign of life, or does not."""

    def __init__(self, pid: int) -> None:
        self.process = {pid: started_at(pid) or 0}
        self.silent = False

    def __call__(self) -> dict[int, int]:
        """Answer, or fail as a deadline does."""
        if self.silent:
            raise TimeoutError
        return self.process


@pytest.fixture
def frozen() -> Iterator[subprocess.Popen[bytes]]:
    """A process that was stopped, as by SIGSTOP."""
    with subprocess.Popen(["sleep", "600"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        yield process
        process.kill()


def look(watchdog: Watchdog, times: int) -> None:
    for _ in range(times):
        watchdog.look()


def test_a_frozen_process_is_ended_after_the_last_question_in_vain(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    watchdog = Watchdog(asked)
    watchdog.look()
    asked.silent = True
    look(watchdog, PATIENCE - 1)
    assert frozen.poll() is None
    watchdog.look()
    assert frozen.wait() < 0


def test_one_answer_makes_it_patient_again(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    watchdog = Watchdog(asked)
    for _ in range(3):
        asked.silent = False
        watchdog.look()
        asked.silent = True
        look(watchdog, PATIENCE - 1)
    assert frozen.poll() is None


def test_a_process_that_has_not_answered_yet_is_left_to_start(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    asked.silent = True
    look(Watchdog(asked), 3 * PATIENCE)
    assert frozen.poll() is None


def test_another_process_with_the_pid_is_left_alone(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    asked.process[frozen.pid] -= 1  # the one that answered began earlier, and is gone
    watchdog = Watchdog(asked)
    watchdog.look()
    asked.silent = True
    look(watchdog, PATIENCE)
    assert frozen.poll() is None


def test_the_next_process_is_watched_as_the_first_was(frozen: subprocess.Popen[bytes]) -> None:
    gone = subprocess.Popen(["true"])
    asked = Asked(gone.pid)
    gone.wait()
    watchdog = Watchdog(asked)
    watchdog.look()
    asked.silent = True
    look(watchdog, 2 * PATIENCE)
    asked.process, asked.silent = Asked(frozen.pid).process, False
    watchdog.look()
    asked.silent = True
    look(watchdog, PATIENCE)
    assert frozen.wait() < 0
