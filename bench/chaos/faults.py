"""The faults: each does its harm to a running server, and mends what does not mend itself."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bench.client import Client
from bench.processes import (
    BALANCER,
    CONTROLLER,
    GATEWAY,
    GCS,
    RANKER,
    RETRIEVER,
    STORE,
    WATCHDOG,
    kill_one,
    named,
    signal_one,
)
from bench.server import Server
from cluster.processes import descendants, started_at

ANOTHER = "another"  # bundle, beside the current one
HELD_S = 3.0  # that a fault lasts which is taken back
AWAY_S = 10.0  # that a GCS is away which is kept from coming back
REPLACED_S = 60.0
SAID, ANEW = '{"status": "ok"}', '{"status": "ok, anew"}'  # of /healthz


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What sort of server a fault is done to."""

    topology: str = "fused"
    disk: str = ""  # size of the one that its log has for itself
    redis: bool = False  # whether its GCS keeps there what it knows
    copied: bool = False  # whether its code is a copy that may be changed

    def __str__(self) -> str:
        """What is said of it in the table."""
        return "staged" if self.topology == "staged" else "Redis" if self.redis else ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row of the table."""

    name: str
    strike: Callable[[Server], None]  # returns when the harm is done; what it held back it has let go
    to: Kind = Kind()


def struck(title: str, number: signal.Signals = signal.SIGKILL) -> Callable[[Server], None]:
    """Return what sends a signal to one process of a server and sees that another comes."""

    def strike(server: Server) -> None:
        before = set(named(title, server.head_pid))
        signal_one(title, server.head_pid, number)
        await_another(server, title, before)

    return strike


def everything_killed(server: Server) -> None:
    """Kill every process of the server, as the loss of its machine would, and start it again over the same log."""
    for pid in (server.head_pid, *descendants(server.head_pid)):
        with suppress(ProcessLookupError):  # its parent took it along
            os.kill(pid, signal.SIGKILL)
    server.start()


def stopped(server: Server) -> None:
    """Stop the server in order and start it again, as for another version of Ray."""
    server.python("serve/run.py", "stop")
    server.start()


def supervisor_killed(server: Server) -> None:
    """Kill the one process from which all others of the server descend, and start the server again."""
    os.kill(server.head_pid, signal.SIGKILL)
    server.start()


def part_killed(title: str) -> Callable[[Server], None]:
    """Return what kills a part of Ray itself, waits for all others to follow, and starts the server again."""

    def strike(server: Server) -> None:
        supervisor = server.head_pid
        kill_one(title, supervisor)
        await_gone(supervisor)
        server.start()

    return strike


def gcs_killed(server: Server) -> None:
    """Kill the GCS, which is started again over what Redis holds, and see that the server finds nothing wrong."""
    struck(GCS)(server)
    await_health(server)


def gcs_away(*others: str) -> Callable[[Server], None]:
    """Return what kills the GCS, keeps it from coming back for a while, and kills other processes meanwhile."""

    def strike(server: Server) -> None:
        os.kill(server.head_pid, signal.SIGSTOP)  # who would start it again
        try:
            for title in (GCS, *others):
                kill_one(title, server.head_pid)
            time.sleep(AWAY_S)
        finally:
            os.kill(server.head_pid, signal.SIGCONT)
        await_health(server)

    return strike


def disk_full(server: Server) -> None:
    """Fill the disk of the log to the last byte for a while."""
    ballast = server.data / "ballast"
    try:
        with ballast.open("wb") as file:
            fill(file.fileno())
        time.sleep(HELD_S)
    finally:
        ballast.unlink()


def fill(descriptor: int) -> None:
    """Write until there is no room."""
    for size in (1 << 20, 1 << 12, 1):
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(size))


def deployed_anew(server: Server) -> None:
    """Go over to another bundle and back, every replica being replaced twice."""
    for bundle in (ANOTHER, "current"):
        server.start(bundle=bundle)


def code_replaced(server: Server) -> None:
    """Change the code where it lies, and go over to it: one gateway after the other, and the store by its death."""
    routes = server.root / "serve/api/routes.py"
    routes.write_text(routes.read_text().replace(SAID, ANEW))
    server.start()
    struck(STORE)(server)
    client = Client(server.port)
    told = [client.get("/healthz").body for _ in range(20)]  # whichever gateway answers
    client.close()
    if any(one != json.loads(ANEW) for one in told):
        raise RuntimeError(f"the old code still answers: {told}")


def await_gone(pid: int) -> None:
    """Return when a process has ended."""
    deadline = time.monotonic() + REPLACED_S
    while started_at(pid) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} still runs after {REPLACED_S:.0f} s")
        time.sleep(0.05)


def await_health(server: Server) -> None:
    """Return when the server finds nothing wrong with itself, which takes two seconds to tell."""
    deadline = time.monotonic() + REPLACED_S
    while True:
        try:
            server.python("-m", "cluster.health")
            return
        except subprocess.CalledProcessError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not sound within {REPLACED_S:.0f} s:\n{error.output}") from None


def await_another(server: Server, title: str, before: set[int]) -> None:
    """Return when as many processes of that title are there as before, and one of them is new."""
    deadline = time.monotonic() + REPLACED_S
    while len(found := set(named(title, server.head_pid))) < len(before) or found <= before:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{title} was not replaced within {REPLACED_S:.0f} s")
        time.sleep(0.05)


FAULTS = [
    Fault(name="store killed", strike=struck(STORE)),
    Fault(name="store frozen", strike=struck(STORE, signal.SIGSTOP)),
    Fault(name="watchdog killed", strike=struck(WATCHDOG)),
    Fault(name="gateway killed", strike=struck(GATEWAY)),
    Fault(name="gateway frozen", strike=struck(GATEWAY, signal.SIGSTOP)),
    Fault(name="controller killed", strike=struck(CONTROLLER)),
    Fault(name="balancer killed", strike=struck(BALANCER)),
    Fault(name="another bundle", strike=deployed_anew),
    Fault(name="disk full", strike=disk_full, to=Kind(disk="24m")),
    Fault(name="raylet killed", strike=part_killed("raylet")),
    Fault(name="GCS killed", strike=part_killed(GCS)),
    Fault(name="supervisor killed", strike=supervisor_killed),
    Fault(name="everything killed", strike=everything_killed),
    Fault(name="stopped", strike=stopped),
    Fault(name="GCS killed", strike=gcs_killed, to=Kind(redis=True)),
    Fault(name="GCS away for 10 s", strike=gcs_away(), to=Kind(redis=True)),
    Fault(name="store killed, GCS away for 10 s", strike=gcs_away(STORE), to=Kind(redis=True)),
    Fault(name="other code", strike=code_replaced, to=Kind(copied=True)),
    Fault(name="retriever killed", strike=struck(RETRIEVER), to=Kind(topology="staged")),
    Fault(name="ranker killed", strike=struck(RANKER), to=Kind(topology="staged")),
    Fault(name="store killed", strike=struck(STORE), to=Kind(topology="staged")),
    Fault(name="another bundle", strike=deployed_anew, to=Kind(topology="staged")),
]
