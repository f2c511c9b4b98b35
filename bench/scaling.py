"""One gateway until the load comes, two while it lasts: how soon, and whether any request fails on the way.

    python -m bench.scaling [most=2] [connections=32] [seconds=25] [cycles=3]

A look every tenth of a second, on a connection of its own, tells which gateway answers. `up`: from the first request
of a load to the last gateway's first answer; `down`: from the load's end until one gateway has given all the answers
of the last two seconds. Needs wrk. Writes bench/results/scaling.json.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.beside import beside
from bench.client import Client
from bench.peers.servers import Target
from bench.report import keep, show
from bench.server import Server, serving
from bench.shop import publish_shop
from bench.wrk import load
from cluster.command import run_command
from cluster.config import Config

LOOK_S, CALM_S, LONGEST_S = 0.1, 2.0, 60.0


class ScalingBench(Config):
    """The load."""

    items: int = Field(50_000, ge=100, description="items of the generated shop")
    users: int = Field(5_000, ge=10, description="its shoppers")
    most: int = Field(2, ge=2, description="gateways under load")
    connections: int = Field(32, ge=1, description="of the load")
    seconds: int = Field(25, ge=5, description="that it lasts")
    cycles: int = Field(3, ge=1, description="loads, one after the other")


class Watch:
    """Which gateways answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen: list[tuple[float, str]] = []  # (when, which gateway)
        self.failed = 0

    def look(self) -> None:
        """Ask over a connection of its own."""
        client = Client(self._port)
        answer = client.get("/readyz")
        client.close()
        if answer.status == 200:
            self.seen.append((time.monotonic(), answer.body["replica"]))
        else:
            self.failed += 1

    def lately(self) -> set[str]:
        """Return the gateways that answered within the last CALM_S."""
        return {name for when, name in list(self.seen) if when > time.monotonic() - CALM_S}


def main(words: list[str]) -> int:
    """Measure; return 1 when a request failed, or gateways did not come or go within a minute."""
    config, rows = ScalingBench.parse(words), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        publish_shop(Path(folder), config.items, config.users)
        with serving(Path(folder), "fused", 1, max_replicas=config.most) as server:
            watch = Watch(server.port)
            with beside(watch.look, LOOK_S):
                rows += [cycle(server, watch, config) for _ in range(config.cycles)]
    show(f"1 to {config.most} gateways", rows)
    keep("scaling", {"config": config.model_dump(), "rows": rows})
    return int(any(row["failed"] or row["up_s"] is None or row["down_s"] is None for row in rows))


def cycle(server: Server, watch: Watch, config: ScalingBench) -> dict[str, Any]:
    """Return how soon gateways came with a load and went after it."""
    failed_before, began = watch.failed, time.monotonic()
    found = load(Target(server.port, server.head_pid), config.users, config.connections, config.seconds)
    ended, first = time.monotonic(), dict[str, float]()
    for when, name in list(watch.seen):
        if when > began:
            first.setdefault(name, when - began)
    while len(watch.lately()) > 1 and time.monotonic() < ended + LONGEST_S:
        time.sleep(LOOK_S)
    down = time.monotonic() - ended - CALM_S
    return {
        "up_s": round(max(first.values()), 1) if len(first) >= config.most else None,
        "down_s": round(down, 1) if len(watch.lately()) == 1 else None,
        "requests_s": found.requests_s, "p99_ms": found.p99_ms,
        "failed": found.failed + watch.failed - failed_before,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
