"""What many gateways would do, foretold from what one costs, and held against what so many really do.

    python -m bench.scale_sim [gateways=1,2,3,4] [connections=32] [seconds=8] [items=50000]

One gateway under one connection and under many gives what a request costs inside it, what a group of requests shares,
and what all other processes spend on it (balancer, store, the load itself). `bench/queueing.py` makes of that what
other numbers of gateways come to on this machine's cores; they are then started and measured. So is the memory of a
gateway and of the store, of this shop and of one with ten times the items. Needs wrk. Writes
bench/results/scale_sim.json, from which `python -m bench.capacity` works out what a shop needs.
"""

import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from bench.peers.servers import Target
from bench.processes import GATEWAY, STORE, named
from bench.queueing import Costs, fitted, simulate
from bench.report import keep, show
from bench.server import serving
from bench.shop import publish_shop
from bench.wrk import cpu_s, load
from cluster.command import run_command
from cluster.config import Config

GIB, WARM_UP_S = 2**30, 4
WITHIN = 0.25  # how far a foretold throughput may be off


class ScaleBench(Config):
    """What is measured."""

    items: int = Field(50_000, ge=100, description="items of the generated shop")
    users: int = Field(5_000, ge=10, description="its shoppers")
    gateways: str = Field("1,2,3,4", description="numbers with commas, the first 1")
    connections: int = Field(32, ge=2, description="of the load")
    seconds: int = Field(8, ge=1, description="of each load")


class Measured(NamedTuple):
    """A load, and whose time it took."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    inside_ms: float  # of the gateways, per request
    outside_ms: float  # of all others, per request, the load's own among them


def main(words: list[str]) -> int:
    """Measure; return 1 when a throughput was foretold wrong by more than a quarter."""
    config, rows = ScaleBench.parse(words), list[dict[str, Any]]()
    cores, costs = float(os.cpu_count() or 1), None
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        publish_shop(Path(folder), config.items, config.users)
        for gateways in map(int, config.gateways.split(",")):
            with serving(Path(folder), "fused", gateways) as server:
                target = Target(server.port, server.head_pid)
                load(target, config.users, 8, WARM_UP_S)
                if costs is None:
                    alone, crowd = (measured(target, config, n) for n in (1, config.connections))
                    costs = fitted(
                        crowd.outside_ms / 1e3, alone.inside_ms / 1e3, crowd.inside_ms / 1e3, cores, config.connections
                    )
                else:
                    crowd = measured(target, config, config.connections)
                rows.append(compared(gateways, crowd, costs, cores, config.connections))
        memory = [held(Path(folder) / str(size), size, config) for size in (config.items, 10 * config.items)]
    show(f"{config.connections} connections, {cores:g} cores", rows)
    show("memory", memory)
    told = {"outside_ms": costs.outside_s, "group_ms": costs.group_s, "each_ms": costs.each_s} if costs else {}
    keep("scale_sim", {
        "config": config.model_dump(), "rows": rows, "memory": memory,
        "costs": {name: round(1e3 * s, 3) for name, s in told.items()},
    })  # fmt: skip
    return int(any(abs(row["off"]) > WITHIN for row in rows))


def measured(target: Target, config: ScaleBench, connections: int) -> Measured:
    """Return what a load comes to, and what a request of it cost inside the gateways and outside."""
    gateways = named(GATEWAY, target.root)
    inside, every, own = _cpu_s(gateways), cpu_s(target.root), _own_cpu_s()
    found = load(target, config.users, connections, config.seconds)
    inside, every, own = _cpu_s(gateways) - inside, cpu_s(target.root) - every, _own_cpu_s() - own
    each_ms = 1e3 / (found.requests_s * config.seconds)
    return Measured(
        found.requests_s, found.p50_ms, found.p99_ms, inside * each_ms, (every - inside + own) * each_ms
    )  # fmt: skip


def held(folder: Path, n_items: int, config: ScaleBench) -> dict[str, Any]:
    """Return the memory of a gateway after some load and of the store, of a shop with so many items."""
    publish_shop(folder, n_items, config.users)
    with serving(folder, "fused", 1) as server:
        load(Target(server.port, server.head_pid), config.users, config.connections, WARM_UP_S)
        gateway, store = (
            sum(_resident_bytes(pid) for pid in named(title, server.head_pid)) for title in (GATEWAY, STORE)
        )
    return {"items": n_items, "gateway_GiB": round(gateway / GIB, 3), "store_GiB": round(store / GIB, 3)}


def compared(gateways: int, found: Measured, costs: Costs, cores: float, connections: int) -> dict[str, Any]:
    """Return what was measured of so many gateways beside what was foretold."""
    foretold = simulate(costs, gateways, cores, connections)
    return {
        "gateways": gateways, "requests_s": round(found.requests_s), "foretold": round(foretold.requests_s),
        "off": round(foretold.requests_s / found.requests_s - 1, 2), "p50_ms": round(found.p50_ms, 1),
        "foretold_p50_ms": round(foretold.p50_ms, 1), "inside_ms": round(found.inside_ms, 2),
        "outside_ms": round(found.outside_ms, 2),
    }  # fmt: skip


def _cpu_s(pids: list[int]) -> float:
    return sum(cpu_s(pid) for pid in pids)


def _resident_bytes(pid: int) -> int:
    """Return a process's own memory, and its share of what it has in common with others."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of wrk, when it has ended
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
