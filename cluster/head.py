"""A cluster on this machine that outlives the process which starts it, as serving needs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

from pydantic import RedisDsn, TypeAdapter, ValidationError

from cluster.environment import home, joins_a_cluster, local_environment, prepare_files, scratch
from cluster.errors import ConfigError, RuntimeStartError
from cluster.haproxy import free_port
from cluster.processes import descendants, end, marked, started_at
from cluster.storage import write_whole

START_TIMEOUT_S = 60
GRACE_S = 5
POLL_S = 0.1
MARK = "LIVESHELF_CLUSTER"
REDIS = "LIVESHELF_REDIS"  # in the environment: it may hold a password
READY_LINE = "Ray runtime started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A running background cluster: its supervisor process and its address."""

    pid: int
    start_tick: int
    address: str
    mark: str  # in the environment of every process that belongs to it

    @property
    def alive(self) -> bool:
        """Whether the supervisor still runs; a recycled pid does not count."""
        return started_at(self.pid) == self.start_tick


def running_head() -> Head | None:
    """Return the background cluster of this home, or None."""
    head = _recorded()
    return head if head is not None and head.alive else None


def server_runs() -> bool:
    """Tell whether there is a cluster to serve on: the one that RAY_ADDRESS names, or this home's background one."""
    return joins_a_cluster() or running_head() is not None


def head_address() -> str:
    """Return the address that RAY_ADDRESS names, else the background cluster's."""
    if joins_a_cluster():
        return os.environ["RAY_ADDRESS"]
    head = running_head()
    if head is None:
        raise RuntimeStartError(f"no cluster runs in {home()}; start one with `python serve/run.py start`")
    return head.address


def start_head(num_cpus: int | None = None) -> Head:
    """Return the background cluster, started if there is none; it listens on 127.0.0.1 only."""
    if head := running_head():
        return head
    end_orphans()
    prepare_files()
    port, mark = free_port(), uuid4().hex
    words, variables = redis_of(os.environ.get(REDIS, ""), namespace=f"liveshelf-{mark}")
    log_path = home() / "head.log"
    with log_path.open("wb") as output:
        process = subprocess.Popen(
            [*_command(port, num_cpus), *words],
            env=_without(("RAY_ADDRESS", REDIS), local_environment()) | variables | {MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=home(),
        )
    _await_ready(process, log_path)
    head = Head(pid=process.pid, start_tick=started_at(process.pid) or 0, address=f"127.0.0.1:{port}", mark=mark)
    write_whole(_record(), json.dumps(asdict(head)))
    return head


def end_orphans() -> None:
    """End what is left of a background cluster whose supervisor was killed; it holds ports, and perhaps the log."""
    if running_head() is None:
        stop_head()


def stop_head() -> bool:
    """End the background cluster with every process it started, its supervisor alive or not; tell whether any was."""
    head = _recorded()
    left = {} if head is None else marked(MARK, head.mark)
    if head is not None and left:
        family = left | descendants(head.pid) if head.alive else left
        end({head.pid: head.start_tick}, 2 * GRACE_S)  # it ends the others first
        end(family | marked(MARK, head.mark), GRACE_S)  # a dying proxy may have started its successor meanwhile
    _record().unlink(missing_ok=True)
    return bool(left)


def _recorded() -> Head | None:
    try:
        return Head(**json.loads(_record().read_text()))
    except FileNotFoundError:
        return None


def _record() -> Path:
    return home() / "head.json"


def redis_of(url: str, namespace: str) -> tuple[list[str], dict[str, str]]:
    """Return the words and variables of a `ray start` whose GCS keeps in Redis what it knows; none without a URL.

    namespace: what is known in another one is not taken up.
    """
    if not url:
        return [], {}
    try:
        redis = TypeAdapter(RedisDsn).validate_python(url)
    except ValidationError:
        raise ConfigError(f"{REDIS} names no Redis; give redis://user:password@host:6379") from None
    given = {"username": redis.username, "password": redis.password}
    words = [f"--redis-{name}={unquote(value)}" for name, value in given.items() if value]
    address = f"{redis.scheme}://{redis.host}:{redis.port}"
    return words, {"RAY_REDIS_ADDRESS": address, "RAY_external_storage_namespace": namespace}


def _without(names: Collection[str], variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in names}


def _command(port: int, num_cpus: int | None) -> list[str]:
    """Return the call of `ray start` by the process that stays, as the parent by which we end all others."""
    cpus = [f"--num-cpus={num_cpus}"] if num_cpus else []
    return [
        sys.executable, "-m", "cluster.keeper", "--head", "--node-ip-address=127.0.0.1",
        f"--port={port}", f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}",
        "--include-dashboard=false", f"--temp-dir={scratch() / 'ray'}", "--disable-usage-stats", *cpus,
    ]  # fmt: skip


def _await_ready(process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while READY_LINE not in log_path.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            end(descendants(process.pid) | {process.pid: started_at(process.pid) or 0}, GRACE_S)
            raise RuntimeStartError(f"the cluster did not start; the end of {log_path}:\n{_tail(log_path)}")
        time.sleep(POLL_S)


def _tail(path: Path, lines: int = 8) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
