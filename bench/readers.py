"""Readers outside the server: how many of their requests are answered while something happens to it."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from bench.client import Client
from bench.silence import Silence


@dataclass
class Reads:
    """What became of them."""

    good: int = 0
    flagged: int = 0  # of the good ones: those that say that something was left out
    silence: Silence = field(default_factory=Silence)  # without a good one
    failed: list[tuple[float, int]] = field(default_factory=list)  # when, by time.monotonic(), and with which status

    @property
    def share_good(self) -> float:
        """Return which share was answered 200."""
        return self.good / max(1, self.good + len(self.failed))


class Readers:
    """Shoppers who ask one after the other for lists, each over a connection of its own, while the block runs."""

    def __init__(self, hosts: list[str], port: int, users: list[str], key: str = "", pause_s: float = 0.02) -> None:
        """Begin with one reader for each host."""
        self.reads, self._users, self._pause_s = Reads(), users, pause_s
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._read, args=(Client(port, host, key=key), at)) for at, host in enumerate(hosts)
        ]

    def __enter__(self) -> Reads:
        """Start them."""
        for thread in self._threads:
            thread.start()
        return self.reads

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for their last answers."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self, client: Client, count: int) -> None:
        while not self._over.is_set():
            body: dict[str, Any] = {"user": self._users[count % len(self._users)], "count": 5}
            answer = client.post("/v1/recommendations", body)
            with self._lock:
                if answer.status == 200:
                    self.reads.good += 1
                    self.reads.silence.broken()
                    self.reads.flagged += bool(answer.body["degraded"])
                else:
                    self.reads.failed.append((time.monotonic(), answer.status))
            count += 1
            self._over.wait(self._pause_s)
        client.close()
