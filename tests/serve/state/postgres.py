"""A PostgreSQL server of a test's own, from Debian's package, and a database address for each log."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from cluster.haproxy import free_port

NUMBERS = count()


@contextmanager
def running_server(settings: str = "") -> Iterator[str]:
    """Yield the URL of a new server with `settings`, such as `-c fsync=off`; skip where PostgreSQL is not installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # short: a socket lies in it
    user = None
    if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
        user = "postgres"
        shutil.chown(folder, user)
    port, tools = free_port(), programs[-1].parent

    def run(program: str, *words: str) -> None:
        subprocess.run([str(tools / program), "-D", str(folder / "data"), *words], check=True, user=user, cwd="/",
                       stdout=subprocess.DEVNULL)  # fmt: skip

    try:
        run("initdb", "-U", "postgres", "-A", "trust", "--no-sync")
        run(
            "pg_ctl",
            "-w",
            "-l",
            str(folder / "log"),
            "-o",
            f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {settings}",
            "start",
        )
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def own_place(server: str) -> str:
    """Return the URL of a schema of its own."""
    name = f"log{next(NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{server}?options=-csearch_path%3D{name}"
