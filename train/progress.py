"""A progress bar here for work that is done elsewhere: workers send how far they are, this process draws it."""

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from tqdm import tqdm

log = logging.getLogger(__name__)

PERIOD_S = 0.3

OwnBar = partial(tqdm, leave=False, disable=None)  # drawn where somebody looks, and gone when done


class Channel(Protocol):
    """A queue that crosses processes, such as Ray's."""

    def put(self, item: Any) -> None:
        """Add a message."""

    def get(self) -> Any:
        """Wait for a message."""


class SentBar:
    """Stands in for tqdm where nobody looks: sends (description, done, total) a few times a second."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def __call__(self, steps: Collection[Any], desc: str) -> Iterator[Any]:
        """Yield the steps and tell how many are done."""
        sent = 0.0
        for done, step in enumerate(steps):
            if time.monotonic() - sent > PERIOD_S:
                self.channel.put((desc, done, len(steps)))
                sent = time.monotonic()
            yield step
        self.channel.put((desc, len(steps), len(steps)))


@contextmanager
def drawn(channel: Channel) -> Iterator[None]:
    """Draw what arrives for as long as the block runs."""
    thread = threading.Thread(target=_draw, args=(channel,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        channel.put(None)
        thread.join()


def log_epoch(metrics: dict[str, float]) -> None:
    """Write one line about an epoch."""
    facts = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
    log.info("trained %s", facts)


def _draw(channel: Channel) -> None:
    bar: tqdm | None = None
    while (message := channel.get()) is not None:
        if isinstance(message, dict):
            log_epoch(message)
            continue
        desc, done, total = message
        if bar is None or done < bar.n:
            if bar is not None:
                bar.close()
            bar = OwnBar(total=total)
        bar.set_description(desc, refresh=False)
        bar.update(done - bar.n)
    if bar is not None:
        bar.close()
