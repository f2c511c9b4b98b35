"""Three times as many requests as the server can answer: does it go on answering, and refuse the others at once?

    python -m bench.overload [times=3] [connections=512] [seconds=10] [topology=fused]

Loads it over 32 connections, which is its peak; then over so many, each of which asks again some time after it was
answered or refused, that `times` the peak is asked; then over 32 again. A probe beside them tells how long answers and
refusals take. Needs wrk. Writes bench/results/overload.json.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.beside import beside
from bench.client import Client
from bench.peers.servers import Target
from bench.report import keep, quantiles, show
from bench.server import serving
from bench.shop import publish_shop
from bench.wrk import load
from cluster.command import run_command
from cluster.config import Config
from cluster.front_door import ROOM

PEAK = 32  # connections
ASKED_EVERY_S = 0.005


class OverloadBench(Config):
    """The load."""

    items: int = Field(50_000, ge=100, description="items of the generated shop")
    users: int = Field(20_000, ge=10, description="its shoppers")
    times: float = Field(3.0, gt=0, description="the peak that is asked")
    connections: int = Field(512, ge=64, description="of the overload")
    seconds: int = Field(10, ge=1, description="of each load")
    topology: Literal["fused", "staged"] = Field("fused", description="of the server")
    replicas: int = Field(2, ge=1, description="gateways")


class Probe:
    """One connection that asks, and how long it waited."""

    def __init__(self, port: int) -> None:
        self._client = Client(port, timeout_s=30)
        self.times_ms: dict[int, list[float]] = {}  # by status

    def ask(self) -> None:
        """Ask once."""
        began = time.perf_counter()
        status = self._client.post("/v1/recommendations", {"user": "u1"}).status
        self.times_ms.setdefault(status, []).append(1e3 * (time.perf_counter() - began))


def main(words: list[str]) -> int:
    """Measure; return 1 when something else than an answer or a refusal came."""
    config, rows = OverloadBench.parse(words), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        publish_shop(Path(folder), config.items, config.users)
        with serving(Path(folder), config.topology, config.replicas) as server:
            target = Target(server.port, server.head_pid)
            load(target, config.users, PEAK, 3)
            rows.append(measured(target, config, PEAK))
            pausing = config.connections - ROOM * config.replicas  # the others are in hand
            pause_ms = 1e3 * pausing / (config.times * rows[0]["answered_s"])
            rows.append(measured(target, config, config.connections, round(pause_ms)))
            rows.append(measured(target, config, PEAK))
    for row in rows:
        row["of_peak"] = round(row["answered_s"] / rows[0]["answered_s"], 2)
    show("overload", rows)
    keep("overload", {"config": config.model_dump(), "rows": rows})
    return int(any(row["other"] for row in rows))


def measured(target: Target, config: OverloadBench, connections: int, pause_ms: int = 0) -> dict[str, Any]:
    """Return what a load came to, and what a probe saw beside it."""
    probe = Probe(target.port)
    with beside(probe.ask, ASKED_EVERY_S):
        found = load(target, config.users, connections, config.seconds, pause_ms=pause_ms)
    answered_s = round(found.requests_s - found.failed / config.seconds, 1)
    return {"connections": connections, "asked_s": found.requests_s, "answered_s": answered_s, **told(probe)}


def told(probe: Probe) -> dict[str, Any]:
    """Return what a probe saw."""
    kinds, nothing = {"answer": 200, "refusal": 503}, {"p50_ms": None, "p99_ms": None}
    times = {kind: probe.times_ms.get(status, []) for kind, status in kinds.items()}
    return {
        **{
            f"{kind}_{name}": value
            for kind, of_kind in times.items()
            for name, value in (quantiles(of_kind) if of_kind else nothing).items()
        },
        "other": sum(len(of_status) for status, of_status in probe.times_ms.items() if status not in kinds.values()),
    }


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
