"""Work shared out among copies of this process, each of which knows all that it knows."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import faiss
import torch

from cluster.errors import WorkerError

Part = TypeVar("Part")
Answer = TypeVar("Answer")


def cores() -> int:
    """Return how many cores this process may use; one where a process cannot be copied."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def in_order(work: Callable[[Part], Answer], parts: Sequence[Part], processes: int) -> Iterator[Answer]:
    """Yield what `work` returns for each part, in the order of the parts, whoever did it.

    processes: copies that work beside each other, on one thread each; with one, or one part, this process works itself.
    """
    copies = min(processes, len(parts))
    if copies <= 1:
        yield from map(work, parts)
        return
    # Forked: what is worked with may be gigabytes, and a copy shares them until it writes.
    fork = get_context("fork")
    crew, lines = [], []
    try:
        for first in range(copies):
            line, far_end = fork.Pipe(duplex=False)
            copy = fork.Process(target=_work_through, args=(work, parts[first::copies], far_end), daemon=True)
            copy.start()
            far_end.close()  # so that a copy that dies ends the line
            crew.append(copy)
            lines.append(line)
        for number in range(len(parts)):
            yield _answer(lines[number % copies])
    finally:
        for copy in crew:
            copy.terminate()
            copy.join()


def _work_through(work: Callable[[Any], Any], parts: Sequence[Any], line: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is told, too, and ends its copies
    # Pools of threads are not copied with a process, and whoever waits for one waits for ever.
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    for part in parts:
        line.send(work(part))


def _answer(line: Connection) -> Any:
    try:
        return line.recv()
    except EOFError:
        raise WorkerError(
            "a copy of this process ended before its work was done; if it says nothing above, memory may have run "
            "out: try processes=1"
        ) from None
