"""The watchdog: ends a store that is frozen, so that Ray, which would never notice, starts it again."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.processes import end
from cluster.telemetry import configure_logging
from serve.state.actor import opened_by

log = logging.getLogger(__name__)

EVERY_S = 1.0  # between questions, and the deadline of each
PATIENCE = 5  # questions without an answer before the process is ended


class Watchdog:
    """Asks for a sign of life, and ends the process that has the log open when PATIENCE questions in a row got none.

    Questions are counted, not seconds: a machine that stood still has missed one. A process that still replays its log
    does not say yet that it has it open, and is never ended; nor is another one that got the pid of one that died.
    """

    def __init__(self, ask: Callable[[], object], opened: Callable[[], dict[int, int]]) -> None:
        """Begin.

        ask: returns at a sign of life, or raises; opened: who opened the log last, as pid → start tick.
        """
        self._ask, self._opened = ask, opened
        self._watched: dict[int, int] = {}
        self._missed = 0

    def look(self) -> None:
        """Ask once, and act on it."""
        try:
            self._ask()
            self._missed = 0
        except Exception:  # whatever Ray raises instead of an answer is no sign of life
            self._missed += 1
        if (opened := self._opened()) != self._watched:
            self._watched, self._missed = opened, 0  # another one: it gets all the patience
        if self._missed == PATIENCE:
            log.error("no sign of life for %d questions; ending what still runs of pid=%s", PATIENCE, [*self._watched])
            end(self._watched, grace_s=0)


class WatchdogActor:
    """A watchdog in a process of its own on the store's node; Ray starts it again when it dies."""

    def __init__(self, store: Any, data: str) -> None:
        """Watch the actor behind a handle, which has the log of the folder `data`."""
        configure_logging("WARNING", "watchdog")
        self._watchdog = Watchdog(
            lambda: store.is_alive.remote().future().result(EVERY_S), lambda: opened_by(Path(data))
        )
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                due = time.monotonic() + EVERY_S
                self._watchdog.look()
                time.sleep(max(0.0, due - time.monotonic()))
        finally:
            os._exit(1)  # only a defect comes here, and an actor that does nothing would be taken for a sound one
