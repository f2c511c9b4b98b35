"""The server's own processes, found by what they call themselves."""

import os
import signal
import time
from pathlib import Path

from cluster.processes import descendants

STORE, WATCHDOG, CONTROLLER, BALANCER = "ray::StoreActor", "ray::WatchdogActor", "ray::ServeController", "haproxy"
GATEWAY = "ray::ServeReplica:liveshelf:Gateway"
RETRIEVER, RANKER = (f"ray::ServeReplica:liveshelf-{stage}" for stage in ("retriever", "ranker"))


def named(title: str, root: int) -> list[int]:
    """Return the pids of descendants of `root` whose title begins with `title`."""
    return sorted(pid for pid in descendants(root) if _title(pid).startswith(title))


def kill_one(title: str, root: int, timeout_s: float = 30) -> int:
    """Kill -9 one of them, waiting for one to appear, and return its pid."""
    return signal_one(title, root, signal.SIGKILL, timeout_s)


def signal_one(title: str, root: int, number: signal.Signals, timeout_s: float = 30) -> int:
    """Send a signal to one of them, waiting for one to appear, and return its pid."""
    deadline = time.monotonic() + timeout_s
    while not (found := named(title, root)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no process {title} in {timeout_s} s")
        time.sleep(0.05)
    os.kill(found[0], number)
    return found[0]


def _title(pid: int) -> str:
    try:
        program, *words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return ""
    return " ".join((Path(program).name, *words))
