"""The server's own processes, found by what they call themselves."""

import os
import signal
import time

from cluster.processes import descendants, title

STORE, WATCHDOG, CONTROLLER, BALANCER = "ray::StoreActor", "ray::WatchdogActor", "ray::ServeController", "haproxy"
GCS = "gcs_server"
GATEWAY = "ray::ServeReplica:liveshelf:Gateway"
RETRIEVER, RANKER = (f"ray::ServeReplica:liveshelf-{stage}" for stage in ("retriever", "ranker"))


def named(begin: str, root: int) -> list[int]:
    """Return the pids of descendants of `root` whose title begins with `begin`."""
    return sorted(pid for pid in descendants(root) if title(pid).startswith(begin))


def kill_one(begin: str, root: int, timeout_s: float = 30) -> int:
    """Kill -9 one of them, waiting for one to appear, and return its pid."""
    return signal_one(begin, root, signal.SIGKILL, timeout_s)


def signal_one(begin: str, root: int, number: signal.Signals, timeout_s: float = 30) -> int:
    """Send a signal to one of them, waiting for one to appear, and return its pid."""
    deadline = time.monotonic() + timeout_s
    while not (found := named(begin, root)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no process {begin} in {timeout_s} s")
        time.sleep(0.05)
    os.kill(found[0], number)
    return found[0]
