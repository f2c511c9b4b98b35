"""The watchdog: ends a store that is frozen, so that Ray, which would never notice, starts it again."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from cluster.processes import end
from cluster.telemetry import configure_logging

log = logging.getLogger(__name__)

EVERY_S = 1.0  # between questions, and the deadline of each
PATIENCE = 5  # questions without an answer before the process is ended


class Watchdog:
    """Asks for a sign of life, and ends the process that gave the last one when PATIENCE questions in a row got none.

    Questions are counted, not seconds: a machine that stood still has missed one. A process that has not answered yet,
    as one that replays its log, is never ended, nor is another one that got the pid of one that died.
    """

    def __init__(self, ask: Callable[[], dict[int, int]]) -> None:
        """Begin with a question that returns the asked process as pid → start tick, or raises."""
        self._ask = ask
        self._heard: dict[int, int] = {}
        self._missed = 0

    def look(self) -> None:
        """Ask once, and act on it."""
        try:
            self._heard, self._missed = self._ask(), 0
        except Exception:  # whatever Ray raises instead of an answer is no sign of life
            self._missed += 1
        if self._missed == PATIENCE:
            log.error("no sign of life for %d questions; ending what still runs of pid=%s", PATIENCE, [*self._heard])
            end(self._heard, grace_s=0)
            self._heard, self._missed = {}, 0


class WatchdogActor:
    """A watchdog in a process of its own on the store's node; Ray starts it again when it dies."""

    def __init__(self, store: Any) -> None:
        """Watch the actor behind a handle."""
        configure_logging("WARNING")
        self._watchdog = Watchdog(lambda: store.process.remote().future().result(EVERY_S))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                due = time.monotonic() + EVERY_S
                self._watchdog.look()
                time.sleep(max(0.0, due - time.monotonic()))
        finally:
            os._exit(1)  # only a defect comes here, and an actor that does nothing would be taken for a sound one
