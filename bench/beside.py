"""Something done again and again beside something else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(work: Callable[[], None], pause_s: float) -> Iterator[None]:
    """Do `work` in a thread of its own, with a pause before each time, until the block ends."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(pause_s):
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
