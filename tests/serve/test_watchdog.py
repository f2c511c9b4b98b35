"""The watchdog ends the process that fell silent, that one alone, and only after it was patient."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from cluster.processes import started_at
from serve.watchdog import PATIENCE, Watchdog


class Asked:
    """A process that has the log open, and gives its sign of life or does not."""

    def __init__(self, pid: int) -> None:
        self.process = {pid: started_at(pid) or 0}
        self.silent = False

    def answer(self) -> None:
        """Answer, or fail as a deadline does."""
        if self.silent:
            raise TimeoutError

    def watched(self) -> Watchdog:
        """Return a watchdog over it."""
        return Watchdog(self.answer, lambda: self.process)


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
    watchdog = asked.watched()
    watchdog.look()
    asked.silent = True
    look(watchdog, PATIENCE - 1)
    assert frozen.poll() is None
    watchdog.look()
    assert frozen.wait() < 0


def test_one_answer_makes_it_patient_again(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    watchdog = asked.watched()
    for _ in range(3):
        asked.silent = False
        watchdog.look()
        asked.silent = True
        look(watchdog, PATIENCE - 1)
    assert frozen.poll() is None


def test_a_process_that_froze_before_its_first_answer_is_ended(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    asked.silent = True
    look(asked.watched(), PATIENCE + 1)  # the first look finds out whom it watches
    assert frozen.wait() < 0


def test_a_process_that_has_not_opened_the_log_yet_is_left_to_start(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    process, asked.process, asked.silent = asked.process, {}, True
    watchdog = asked.watched()
    look(watchdog, 3 * PATIENCE)
    asked.process = process
    look(watchdog, PATIENCE)
    assert frozen.poll() is None
    watchdog.look()
    assert frozen.wait() < 0


def test_another_process_with_the_pid_is_left_alone(frozen: subprocess.Popen[bytes]) -> None:
    asked = Asked(frozen.pid)
    asked.process[frozen.pid] -= 1  # the one that answered began earlier, and is gone
    watchdog = asked.watched()
    watchdog.look()
    asked.silent = True
    look(watchdog, PATIENCE)
    assert frozen.poll() is None


def test_the_next_process_is_watched_as_the_first_was(frozen: subprocess.Popen[bytes]) -> None:
    gone = subprocess.Popen(["true"])
    asked = Asked(gone.pid)
    gone.wait()
    watchdog = asked.watched()
    watchdog.look()
    asked.silent = True
    look(watchdog, 2 * PATIENCE)
    asked.process, asked.silent = Asked(frozen.pid).process, False
    watchdog.look()
    asked.silent = True
    look(watchdog, PATIENCE)
    assert frozen.wait() < 0
