"""Events over HTTP as fast as they are taken, and how long until an answer reflects one meanwhile.

    python -m bench.ingest [batch=50] [senders=4] [seconds=10] [topology=fused]

Senders send batch after batch over a kept connection each; an ack means flushed to the disk and applied. Meanwhile one
shopper clicks and asks for a slate that knows of it, again and again. Writes bench/results/ingest.json.
"""

import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.client import Client
from bench.report import keep, quantiles, show
from bench.server import serving
from bench.shop import publish_shop
from bench.wrk import cpu_s
from cluster.command import run_command
from cluster.config import Config


class IngestBench(Config):
    """The load."""

    items: int = Field(50_000, ge=100, description="items of the generated shop")
    users: int = Field(20_000, ge=10, description="its shoppers")
    batch: int = Field(50, ge=1, le=500, description="events of a call")
    senders: int = Field(4, ge=1, le=64, description="connections that send")
    seconds: int = Field(10, ge=1, description="of the load")
    topology: Literal["fused", "staged"] = Field("fused", description="of the server")
    replicas: int = Field(2, ge=1, description="gateways")


def main(words: list[str]) -> int:
    """Measure; return 1 when an event was refused or an answer missed its click."""
    config = IngestBench.parse(words)
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        publish_shop(Path(folder), config.items, config.users)
        with serving(Path(folder), config.topology, config.replicas) as server:
            send(server.port, config, 0, time.monotonic() + 2)
            used = cpu_s(server.head_pid)
            found = measured(server.port, config)
            found["server_cpu_s"] = round(cpu_s(server.head_pid) - used, 1)
    show(f"{config.senders} senders of {config.batch} events", [found])
    keep("ingest", {"config": config.model_dump(), "found": found})
    return int(found["refused"] > 0 or found["missed"] > 0)


def measured(port: int, config: IngestBench) -> dict[str, Any]:
    """Return what the load came to."""
    sent, began = list[tuple[int, int]](), time.monotonic()
    ends = began + config.seconds
    senders = [
        threading.Thread(target=lambda number=number: sent.append(send(port, config, number, ends)))
        for number in range(1, config.senders + 1)
    ]
    for sender in senders:
        sender.start()
    visible_ms, missed = clicks(port, config, ends)
    for sender in senders:
        sender.join()
    applied, refused = (sum(counts) for counts in zip(*sent, strict=True))
    return {
        "events_s": round(applied / (time.monotonic() - began)), "refused": refused, "missed": missed,
        **{f"visible_{name}": value for name, value in quantiles(visible_ms).items()}, "clicks": len(visible_ms),
    }  # fmt: skip


def send(port: int, config: IngestBench, number: int, ends: float) -> tuple[int, int]:
    """Send clicks until it is time; return how many were applied, and how many not."""
    rng, client, applied, sent = random.Random(number), Client(port), 0, 0
    while time.monotonic() < ends:
        events = [
            {"type": "click", "user": f"u{rng.randrange(config.users)}", "item": f"i{rng.randrange(config.items)}"}
            for _ in range(config.batch)
        ]
        answer, sent = client.post("/v1/events", {"events": events}), sent + config.batch
        applied += answer.body["applied"] if answer.status == 200 else 0
    return applied, sent - applied


def clicks(port: int, config: IngestBench, ends: float) -> tuple[list[float], int]:
    """Return the ms from a click to a slate that knows of it, of one click after the other, and how many did not."""
    rng, writer, reader, times_ms, missed = random.Random(-1), Client(port), Client(port), list[float](), 0
    while time.monotonic() < ends:
        user, item = f"u{rng.randrange(config.users)}", f"i{rng.randrange(config.items)}"
        began = time.perf_counter()
        event = writer.post("/v1/events", {"type": "click", "user": user, "item": item})
        version = event.body["results"][0]["version"]
        slate = reader.post("/v1/recommendations", {"user": user, "minVersion": version})
        times_ms.append(1e3 * (time.perf_counter() - began))
        missed += slate.status != 200 or slate.body["stateVersion"] < version
    return times_ms, missed


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
