"""Take the node that this is called on out of its cluster, without a failed request.

    RAY_ADDRESS=auto python -m cluster.drain [timeout_s=600]

Its gateways go to other nodes, each when another has come in its place. When nobody is connected to the node's port any
more, all of Ray ends here. It stays so, whatever the head's autoscaler wants, until ~/.liveshelf/drained is removed.
"""

import sys
import time
from collections.abc import Callable

from pydantic import Field

from cluster.command import run_command, say
from cluster.config import Config
from cluster.environment import home
from cluster.errors import RuntimeStartError
from cluster.keeper import RAYLET, newest
from cluster.processes import descendants, started_at, title
from cluster.runtime import RuntimeConfig, connect, disconnect, drain_here

REPLICA = "ray::ServeReplica:liveshelf"
DRAINED = "drained"  # the file in the home folder for whose sake cluster.yaml starts nothing on a node
POLL_S = 0.5


class DrainArgs(Config):
    """What the command takes."""

    timeout_s: float = Field(600, gt=0, description="for the gateways to go, and again for those who are connected")


def main(words: list[str]) -> None:
    """Return when nothing of Ray runs here."""
    args = DrainArgs.parse(words)
    if (raylet := newest(RAYLET, root=1)) is None:
        raise RuntimeStartError("no node of a cluster runs here")
    try:
        connect(RuntimeConfig(address="head"))
        drain_here()
    finally:
        disconnect()
    (home() / DRAINED).touch()
    say("no gateway comes here any more")
    await_none(
        lambda: any(title(pid).startswith(REPLICA) for pid in descendants(raylet)), args.timeout_s,
        "gateways are still here, and answer: give them room elsewhere, by `start` with a larger max_replicas_per_node",
    )  # fmt: skip
    say("no gateway is here any more; the port answers until nobody is connected: take it out of your balancer")
    await_none(
        lambda: started_at(raylet) is not None, args.timeout_s,
        "somebody is still connected, or has work of another kind here; `ray stop` ends it",
    )  # fmt: skip
    say(f"nothing runs here any more; remove {home() / DRAINED} to let the node come back")


def await_none(is_there: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    """Return when something is there no more; raise with the sentence `otherwise` when it stays."""
    deadline = time.monotonic() + timeout_s
    while is_there():
        if time.monotonic() > deadline:
            raise RuntimeStartError(f"after {timeout_s:.0f} s {otherwise}")
        time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
