"""Copies of a process share work out, and nobody sees that they did."""

import os
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import WorkerError
from train.forked import cores, in_order


@pytest.mark.parametrize("processes", [1, 2, 3, 50])
def test_answers_come_in_the_order_of_the_parts(processes: int) -> None:
    asked = [np.arange(n) for n in range(7)]
    assert list(in_order(lambda part: int(part.sum()), asked, processes)) == [0, 0, 1, 3, 6, 10, 15]


def test_several_processes_work_and_none_is_left() -> None:
    workers = set(in_order(lambda _: os.getpid(), range(4), 2))
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_one_process_works_itself() -> None:
    assert set(in_order(lambda _: os.getpid(), range(3), 1)) == {os.getpid()}


def test_answers_that_nobody_reads_leave_no_process() -> None:
    answers = in_order(lambda _: os.getpid(), range(4), 2)
    worker = next(answers)
    answers.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert not Path(f"/proc/{worker}").exists()


def test_a_copy_that_dies_is_told_of() -> None:
    with pytest.raises(WorkerError, match="processes=1"):
        list(in_order(lambda part: os._exit(part), range(3), 2))


def test_there_is_a_core() -> None:
    assert cores() >= 1
