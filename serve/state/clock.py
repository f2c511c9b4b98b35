"""The wall clock; it stands beside what it says, and nothing is ever ordered by it."""

import time


def now_ms() -> int:
    """Return epoch milliseconds."""
    return time.time_ns() // 1_000_000
