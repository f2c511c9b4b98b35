"""The process beside a head's GCS, which starts it again where it dies and what it knew does not die with it.

    python -m cluster.keeper --head --port=…    # start a head with these words of `ray start`, and end with it
    python -m cluster.keeper                    # stay as long as the head that was started on this machine last

Nothing of Ray's own starts a GCS again: on Kubernetes its pod does, and `ray start --block` ends everything instead.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cluster.processes import descendants, end, parent, started_at, title
from cluster.telemetry import configure_logging

log = logging.getLogger(__name__)

GCS, RAYLET = "gcs_server", "raylet"
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
GRACE_S, POLL_S = 5, 0.2


@dataclass(frozen=True, slots=True)
class Command:
    """How a process was started."""

    words: list[str]
    variables: dict[str, str]

    @classmethod
    def of(cls, pid: int) -> Self:
        """Read it of a process that runs."""
        proc = Path(f"/proc/{pid}")
        words, variables = ((proc / of).read_text().strip("\0").split("\0") for of in ("cmdline", "environ"))
        return cls(words, dict(variable.split("=", 1) for variable in variables))

    @property
    def finds_its_state_again(self) -> bool:
        """Whether a GCS that is started like this knows what the one before it knew."""
        return any(word.startswith("--redis_address=") for word in self.words)

    def start(self) -> int:
        """Start the same once more and return its pid."""
        return os.spawnve(os.P_NOWAIT, self.words[0], self.words, self.variables)


def main(words: list[str]) -> int:
    """Stay beside a head until it has ended; return the exit code. words: of `ray start`, where it is to be started."""
    configure_logging("WARNING", "keeper")
    if not words:
        keep(root=1)
        return 0
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    grace_s = GRACE_S
    try:
        if failed := subprocess.run([sys.executable, "-m", "ray.scripts.scripts", "start", *words]).returncode:
            return failed
        keep(root=os.getpid())
        grace_s = 0  # without its GCS or its raylet the rest is of no use
        return 1
    finally:
        end(descendants(os.getpid()), grace_s)


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own has gone, as all of Ray's are when `ray start` has."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot become the parent of orphans")


def keep(root: int) -> None:
    """Return when the head below the process `root` lacks what does not come back: its raylet, or what its GCS knew."""
    gcs, raylet = newest(GCS, root), newest(RAYLET, root)
    if gcs is None or raylet is None:
        return
    command = Command.of(gcs)
    log.info("keeps the GCS pid=%d", gcs)
    while True:
        is_gone = started_at(gcs) is None
        if started_at(raylet) is None or (is_gone and not command.finds_its_state_again):
            return  # looked at last: whoever ends a head ends its raylet first, and wants no GCS started again
        if is_gone:
            gcs = command.start()
            log.warning("the GCS died and was started again pid=%d", gcs)
        time.sleep(POLL_S)
        reap()


def newest(program: str, root: int) -> int | None:
    """Return the pid of the process below `root` that runs a program and began last, None where there is none."""
    found = {pid: tick for pid, tick in descendants(root).items() if runs(program, pid)}
    own = {pid: tick for pid, tick in found.items() if (starter := parent(pid)) and not runs(program, starter)}
    return max(own, key=lambda pid: own[pid], default=None)


def runs(program: str, pid: int) -> bool:
    """Whether a process runs a program; a child that it has just forked bears its name too, until it runs its own."""
    return title(pid).partition(" ")[0] == program


def reap() -> None:
    """Let children that ended go."""
    with suppress(ChildProcessError):  # there is none at all
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
