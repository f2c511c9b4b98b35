"""Far more requests than the server can answer: does it go on answering, and refuse the others at once?

    python -m bench.overload [connections=512] [seconds=10] [topology=fused]

Loads it over 32 connections, which is its peak; then over so many that each asks again as soon as it is answered or
refused; then over 32 again. A probe beside them tells how long answers and refusals take. Needs wrk. Writes
bench/results/overload.json.
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

PEAK = 32  # connections
ASKED_EVERY_S = 0.005


class OverloadBench(Config):
    """The load."""

    items: int = Field(50_000, ge=100, description="items of the generated shop")
    users: int = Field(20_000, ge=10, description="its shoppers")
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
            for connections in (PEAK, config.connections, PEAK):
                probe = Probe(server.port)
                with beside(probe.ask, ASKED_EVERY_S):
                    found = load(target, config.users, connections, config.seconds)
                rows.append({"connections": connections, **found._asdict(), **told(probe)})
    for row in rows:
        row["answered_s"] = round(row["requests_s"] - row["failed"] / config.seconds, 1)
        row["of_peak"] = round(row["answered_s"] / rows[0]["answered_s"], 2)
    show("overload", rows)
    keep("overload", {"config": config.model_dump(), "rows": rows})
    return int(any(row["other"] for row in rows))


def told(probe: Probe) -> dict[str, Any]:
    """Return what a probe saw."""
    refused = quantiles(probe.times_ms[503]) if 503 in probe.times_ms else {"p50_ms": None, "p99_ms": None}
    return {
        "probe_answers": len(probe.times_ms.get(200, [])), "probe_refusals": len(probe.times_ms.get(503, [])),
        **{f"refusal_{name}": value for name, value in refused.items()},
        "other": sum(len(times) for status, times in probe.times_ms.items() if status not in (200, 503)),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
