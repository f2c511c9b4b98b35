"""What Ray and its children find in their environment: a token, loopback, one thread each, a private HAProxy."""

import hashlib
import os
import shlex
from pathlib import Path

from cluster.auth import ensure_token, private_folder
from cluster.haproxy import free_port, haproxy_variables, install_haproxy

ROOT = Path(__file__).parents[1]
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's only switch that makes 127.0.0.1 the node's address
    "GLOO_SOCKET_IFNAME": "lo",
}
QUICK_TO_NOTICE = {  # that a node died: within about two seconds, where Ray by itself takes a dozen
    "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "1",  # then another replica is asked
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")  # what this machine alone reaches


def home() -> Path:
    """Return the folder of what outlives a cluster: the token, the running head's record, its log."""
    return Path(os.environ.get("LIVESHELF_HOME") or Path.home() / ".liveshelf").expanduser().absolute()


def scratch() -> Path:
    """Return the folder of Ray's sessions and HAProxy's sockets, whose paths must stay below 108 characters."""
    name = f"liveshelf-{os.getuid()}-{hashlib.sha256(str(home()).encode()).hexdigest()[:6]}"
    return Path("/tmp") / name  # nosec B108 # `private_folder` refuses one that is somebody else's


def joins_a_cluster() -> bool:
    """Tell whether the environment names a cluster to join, as it does in a submitted job."""
    return bool(os.environ.get("RAY_ADDRESS"))


def in_submitted_job() -> bool:
    """Tell whether Ray started this process as a job, which then brings its own working directory."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def prepare() -> None:
    """Fill the gaps of this process's environment; what the user has set stays.

    Ray reads most of it once, on import: call this before anything imports `ray`.
    """
    os.environ.update(cluster_variables() | dict(os.environ) if joins_a_cluster() else local_environment())


def prepare_files() -> None:
    """Make what the variables name: private folders, the token, the start script of HAProxy."""
    private_folder(home())
    private_folder(scratch())
    if path := token_path():
        ensure_token(path)
    install_haproxy(scratch(), cluster_mark())


def cluster_mark() -> str:
    """Return what tells the cluster's requests from another's, on each node: a digest of the token, if there is one."""
    path = token_path()
    token = os.environ.get("RAY_AUTH_TOKEN", "") if path is None else path.read_text()
    return hashlib.sha256(token.encode()).hexdigest()[:16] if token else ""


def local_environment() -> dict[str, str]:
    """Return the whole environment of a one-machine cluster: its workers find our packages, its ports stay inside."""
    inherited = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    path = os.pathsep.join(dict.fromkeys([str(ROOT), *inherited]))
    return cluster_variables() | LOOPBACK | dict(os.environ) | {"PYTHONPATH": path}


def cluster_variables() -> dict[str, str]:
    """Return what every node of a cluster needs, wherever it runs."""
    return ONE_THREAD | _auth_variables() | haproxy_variables(scratch()) | {
        "FORWARDED_ALLOW_IPS": "",  # else uvicorn believes of a request through HAProxy what its client says of itself
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # else each report waits two seconds
        "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.5",  # else more replicas come ten seconds later
        "RAY_AIR_NEW_OUTPUT": "0",  # our own lines say how a sweep goes
        "AUTOSCALER_METRIC_PORT": str(free_port()),  # fixed ports would collide with a second cluster
        "DASHBOARD_METRIC_PORT": str(free_port()),
    }  # fmt: skip


def node_variables() -> dict[str, str]:
    """Return what `ray start` needs on a machine of a cluster, whose workers find our packages beside this file."""
    return cluster_variables() | QUICK_TO_NOTICE | {"PYTHONPATH": str(ROOT)}


def token_path() -> Path | None:
    """Return where the cluster's token lies, or None when the user gave it or turned it off."""
    if os.environ.get("RAY_AUTH_MODE", "token") != "token" or "RAY_AUTH_TOKEN" in os.environ:
        return None
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or home() / "token").expanduser()


def _auth_variables() -> dict[str, str]:
    path = token_path()
    return {"RAY_AUTH_MODE": "token"} | ({"RAY_AUTH_TOKEN_PATH": str(path)} if path else {})


if __name__ == "__main__":  # cluster.yaml evaluates these lines on every node
    prepare_files()
    for name, value in node_variables().items():
        print(f"export {name}={shlex.quote(value)}")
