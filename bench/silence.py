"""For how long nothing came."""

import time
from dataclasses import dataclass


@dataclass
class Silence:
    """The longest time between two things that came, in seconds."""

    longest_s: float = 0.0
    _since: float | None = None

    def broken(self) -> None:
        """Note that something came."""
        now = time.monotonic()
        if self._since is not None:
            self.longest_s = max(self.longest_s, now - self._since)
        self._since = now
