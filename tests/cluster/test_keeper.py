"""Beside a head: which GCS is started again, how, and when no more."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.environment import ROOT
from cluster.keeper import GCS, RAYLET, Command, newest
from cluster.processes import descendants, end, started_at
from tests.cluster.launched import wait_until

PARENT = """
import logging, os, subprocess, sys
from cluster.keeper import keep

for program, *words in ([sys.argv[1]], sys.argv[2:]):
    subprocess.Popen([program, "-c", "while :; do sleep 0.1; done", *words])
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
keep(os.getpid())
"""
ELSEWHERE = "--redis_address=10.0.0.5"


@dataclass(frozen=True)
class Kept:
    """A process that keeps a raylet and a GCS, for which shells pass."""

    parent: subprocess.Popen[str]

    def pid(self, program: str) -> int | None:
        return newest(program, self.parent.pid)

    def kill(self, program: str) -> int:
        pid = self.pid(program)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return pid


def test_what_a_program_has_just_forked_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / RAYLET).symlink_to(sys.executable)
    forking = "import os, sys; child = os.fork(); child and print(child, flush=True); sys.stdin.read()"
    line = [tmp_path / RAYLET, "-c", forking]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin and one.stdout
        child = int(one.stdout.readline())
        assert {child, one.pid} <= set(descendants(os.getpid()))
        assert newest(RAYLET, os.getpid()) == one.pid
        one.stdin.close()


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Callable[[str], Kept]]:
    """Starts one, given a word that its GCS was started with."""
    families: list[dict[int, int]] = []

    def start(word: str) -> Kept:
        line = [sys.executable, "-c", PARENT, tmp_path / RAYLET, tmp_path / GCS, word]
        variables = os.environ | {"PYTHONPATH": str(ROOT), "GIVEN": "a=b\nc"}
        parent = subprocess.Popen(line, env=variables, stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("keeps the GCS")
        families.append({parent.pid: started_at(parent.pid) or 0} | descendants(parent.pid))
        return Kept(parent)

    for name in (RAYLET, GCS):
        (tmp_path / name).symlink_to("/bin/sh")
    yield start
    for family in families:
        end(family | {pid: tick for parent in family for pid, tick in descendants(parent).items()}, grace_s=0)


def test_a_gcs_that_finds_its_state_again_is_started_as_it_was_each_time(keeping: Callable[[str], Kept]) -> None:
    kept = keeping(ELSEWHERE)
    for _ in range(2):
        killed = kept.kill(GCS)
        wait_until(lambda killed=killed: kept.pid(GCS) not in (None, killed), 30)
        again = Command.of(kept.pid(GCS) or 0)
        assert (again.words[-1], again.variables["GIVEN"]) == (ELSEWHERE, "a=b\nc")


def test_a_gcs_whose_state_died_with_it_is_given_up(keeping: Callable[[str], Kept]) -> None:
    kept = keeping("--session-name=s")
    kept.kill(GCS)
    assert kept.parent.wait(timeout=30) == 0


def test_a_head_without_its_raylet_is_given_up_and_its_gcs_not_started_again(
    keeping: Callable[[str], Kept],
) -> None:
    kept = keeping(ELSEWHERE)
    kept.kill(RAYLET)
    assert kept.parent.wait(timeout=30) == 0
