"""What a shop needs: gateways, cores, memory and money, from what was measured here.

    python -m bench.capacity [items=1000000 users=10000000 requests_s=1000 events_s=500 busy=0.6 core_hour=0.04]

Costs are read from bench/results (`scale_sim`, `ingest`, `store`, `index`), so they are those of the machine that
measured them; docs/scale.md explains the arithmetic. Nothing is started and nothing is written.
"""

import json
import math
import sys
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from bench.report import RESULTS, show
from cluster.command import run_command
from cluster.config import Config
from cluster.errors import ConfigError

HOURS = 730  # of a month
CROWD = 8  # slates that a gateway answers together when it is busy


class Demand(Config):
    """What a shop asks for at its busiest, and what a core costs."""

    items: int = Field(1_000_000, ge=1, description="of the catalogue")
    users: int = Field(10_000_000, ge=1, description="shoppers with events since the bundle")
    requests_s: float = Field(1_000, ge=0, description="requests for slates a second")
    events_s: float = Field(500, ge=0, description="events a second")
    busy: float = Field(0.6, gt=0, le=1, description="share of a core that may be busy, so that queues stay short")
    node_cores: int = Field(8, ge=1, description="cores of a node")
    core_hour: float = Field(0.04, ge=0, description="price of a core for an hour, in any currency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Costs in seconds of a core, and what one store takes."""

    inside_s: float  # a slate in its gateway, in a crowd
    outside_s: float  # a slate in all other processes
    search_s: float  # one exact search among EXACT_ITEMS
    event_s: float  # an event in the gateway that takes it, the store and the balancer
    apply_s: float  # an event in each replica that follows the log
    store_events_s: float  # that one store takes
    gateway_gib: tuple[float, float]  # without items, and for each
    store_gib: tuple[float, float]
    shopper_gib: float  # in the store


def read_costs() -> Measured:
    """Return what the benches of bench/results measured."""
    simulated, ingest, store, index = (_result(name) for name in ("scale_sim", "ingest", "store", "index"))
    costs, exact = simulated["costs"], next(row for row in index["rows"] if row["kind"] == "flat")
    speed = max(store["speed"], key=lambda row: row["batch"])
    found = ingest["found"]
    apply_s = 1 / speed["learner_per_cpu_s"]
    n_events = found["events_s"] * ingest["config"]["seconds"]
    shoppers = store["memory"][0]
    return Measured(
        inside_s=(costs["each_ms"] + costs["group_ms"] / CROWD) / 1e3, outside_s=costs["outside_ms"] / 1e3,
        search_s=exact["p50_ms"] / 1e3, apply_s=apply_s,
        event_s=found["server_cpu_s"] / n_events - ingest["config"]["replicas"] * apply_s,
        store_events_s=speed["store"], gateway_gib=_line(simulated["memory"], "gateway_GiB"),
        store_gib=_line(simulated["memory"], "store_GiB"), shopper_gib=shoppers["GiB"] / shoppers["shoppers"],
    )  # fmt: skip


def needs(demand: Demand, cost: Measured) -> dict[str, Any]:
    """Return what a demand comes to.

    A gateway's core gives `busy` of its time; every gateway follows every event first, and what is left answers.
    """
    search_s = _search_s(demand.items)
    slate_s = cost.inside_s - cost.search_s + search_s
    follows = demand.events_s * cost.apply_s  # of each gateway's core
    left = demand.busy - follows
    n_stores = max(1, math.ceil(demand.events_s / (demand.busy * cost.store_events_s)))
    work = demand.requests_s * slate_s + demand.events_s * cost.event_s
    gateways = math.ceil(work / left) if left > 0 else math.inf
    others = demand.requests_s * cost.outside_s / demand.busy
    cores = max(2, math.ceil(gateways + others + n_stores)) if left > 0 else math.inf
    gateway_gib, store_gib = (none + each * demand.items for none, each in (cost.gateway_gib, cost.store_gib))
    store_gib += demand.users * cost.shopper_gib / n_stores
    return {
        "items": f"{demand.items:,}", "users": f"{demand.users:,}", "requests/s": f"{demand.requests_s:,g}",
        "events/s": f"{demand.events_s:,g}", "gateways": gateways, "stores": n_stores, "cores": cores,
        "nodes": math.ceil(cores / demand.node_cores) if left > 0 else math.inf,
        "gateway GiB": round(gateway_gib, 1), "store GiB": round(store_gib, 1),
        "a month": f"{cores * HOURS * demand.core_hour:,.0f}",
    }  # fmt: skip


def main(words: list[str]) -> int:
    """Print one demand, or a ladder of them where none is given."""
    ladder = [[], ["items=50000", "users=100000", "requests_s=100", "events_s=50"]]
    ladder += [["items=10000000", "users=100000000", "requests_s=10000", "events_s=5000"]]
    ladder += [["items=100000000", "users=1000000000", "requests_s=100000", "events_s=1000000"]]
    cost = read_costs()
    show("what it takes", [needs(Demand.parse(one), cost) for one in ([words] if words else ladder)])
    return 0


def _search_s(n_items: int) -> float:
    """Return what one search takes by the kind of index that so many items get, between sizes that were measured."""
    rows = [row for row in _result("index")["rows"] if row["kind"] == ("flat" if n_items < 100_000 else "ivf")]
    below = max((row for row in rows if row["items"] <= n_items), key=lambda row: row["items"], default=rows[0])
    above = min((row for row in rows if row["items"] >= n_items), key=lambda row: row["items"], default=rows[-1])
    if below["items"] == above["items"]:
        # Beyond the largest: the lists that are read grow as the square root of the items.
        return below["p50_ms"] / 1e3 * math.sqrt(n_items / below["items"])
    share = (n_items - below["items"]) / (above["items"] - below["items"])
    return (below["p50_ms"] + share * (above["p50_ms"] - below["p50_ms"])) / 1e3


def _line(rows: list[dict[str, Any]], name: str) -> tuple[float, float]:
    """Return the line through what two shops need: without items, and for each."""
    few, many = rows
    each = (many[name] - few[name]) / (many["items"] - few["items"])
    return few[name] - each * few["items"], each


def _result(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise ConfigError(f"{path.name} is not there; run `python -m bench.{name}` first")
    return json.loads(path.read_text())


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
