"""Freshness: how long after a click does an answer reflect it?

    python -m bench.freshness [clicks=500] [registry=var/registry]

For each click: the event's own call, then a recommendation with `minVersion`, over one kept connection each. The two
together are the time from click to a list that knows of it. Writes bench/results/freshness.json.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pydantic import Field

from bench.client import Client
from bench.report import keep, quantiles, show
from bench.server import serving
from bench.shop import publish_shop
from cluster.config import Config
from train.bundle import read_bundle
from train.registry import Registry

WARM_UP = 50


class FreshnessConfig(Config):
    """What is served and how often it is clicked."""

    clicks: int = Field(default=500, ge=10, description="clicks that are timed, per topology")
    registry: str = Field(default="", description="whose current bundle is served; a generated one when empty")
    items: int = Field(default=10_000, ge=100, description="items of the generated shop")
    users: int = Field(default=2_000, ge=10, description="shoppers of the generated shop")
    replicas: int = Field(default=2, ge=1, description="gateway replicas")
    seed: int = Field(default=0, ge=0, description="of who clicks on what")


def measure(port: int, user_ids: list[str], item_ids: list[str], config: FreshnessConfig) -> dict[str, float]:
    """Return the latencies of clicks by shoppers on items; a list that misses its click is counted as stale."""
    rng = np.random.default_rng(config.seed)
    writer, reader = Client(port), Client(port)
    event_ms, slate_ms, stale = [], [], 0
    for count in range(config.clicks + WARM_UP):
        user, item = str(rng.choice(user_ids)), str(rng.choice(item_ids))
        started = time.perf_counter()
        event = writer.post("/v1/events", {"type": "click", "user": user, "item": item})
        acked = time.perf_counter()
        version = event.body["results"][0]["version"]
        slate = reader.post("/v1/recommendations", {"user": user, "minVersion": version})
        answered = time.perf_counter()
        if count >= WARM_UP:
            event_ms.append(1e3 * (acked - started))
            slate_ms.append(1e3 * (answered - acked))
            stale += bool(slate.body["degraded"]) or slate.body["stateVersion"] < version
    both = np.add(event_ms, slate_ms).tolist()
    parts = {"fresh": both, "event": event_ms, "slate": slate_ms}
    return {f"{part}_{name}": value for part, times in parts.items() for name, value in quantiles(times).items()} | {
        "stale": stale
    }


def main(words: list[str]) -> int:
    """Measure both topologies; return 1 when a list missed its click."""
    config = FreshnessConfig.parse(words)
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        registry = Path(config.registry or folder)
        if not config.registry:
            publish_shop(registry, config.items, config.users, config.seed)
        bundle = read_bundle(Registry(registry).find("current"))
        rows = []
        for topology in ("fused", "staged"):
            with serving(registry, topology, config.replicas) as server:
                found = measure(server.port, list(bundle.histories.user_ids), list(bundle.items["item_id"]), config)
            rows.append({"topology": topology, **found})
    title = f"{config.clicks} clicks, {len(bundle.items)} items, {config.replicas} replicas"
    show(title, [{"figure": name, **{row["topology"]: row[name] for row in rows}} for name in rows[0]][1:])
    keep("freshness", {"config": config.model_dump(), "items": len(bundle.items), "rows": rows})
    return int(any(row["stale"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
