"""The other servers of one measurement, started and stopped like ours."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.client import Client
from bench.server import ROOT, Server
from cluster.haproxy import free_port
from cluster.processes import descendants, end, started_at

PATIENCE_S = 120
GRACE_S = 5


class Target(NamedTuple):
    """A server under load."""

    port: int
    root: int  # pid of its first process, from which all others descend


@contextmanager
def noop(replicas: int, hops: int) -> Iterator[Target]:
    """Serve nothing on Ray Serve, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        server = Server(port=free_port(), home=Path(folder) / "home", data=Path(folder) / "data")
        try:
            server.python("-m", "bench.peers.noop", str(server.port), str(replicas), str(hops))
            await_ready(server.port)
            yield Target(server.port, server.head_pid)
        finally:
            server.python("serve/run.py", "stop")


@contextmanager
def plain(bundle: Path, replicas: int, is_ranked: bool) -> Iterator[Target]:
    """Serve a bundle by uvicorn alone, until the block ends."""
    port = free_port()
    environment = os.environ | {"PLAIN_BUNDLE": str(bundle), "PLAIN_RANKED": "1" if is_ranked else ""}
    command = [
        sys.executable, "-m", "uvicorn", "bench.peers.plain:application", "--factory", "--port", str(port),
        "--workers", str(replicas), "--log-level", "warning", "--no-access-log",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        await_ready(port)
        yield Target(port, process.pid)
    finally:
        end(descendants(process.pid) | {process.pid: started_at(process.pid) or 0}, GRACE_S)
        process.wait()


def await_ready(port: int) -> None:
    """Return as soon as a server answers well."""
    deadline, client = time.monotonic() + PATIENCE_S, Client(port)
    while client.get("/readyz").status != 200:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answered on port {port} within {PATIENCE_S} s")
        time.sleep(0.1)
    client.close()
