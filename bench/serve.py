"""What an answer costs: our server beside doing nothing and beside what a user would write instead, in one run.

    python -m bench.serve [items=50000] [big=1000000] [seconds=10] [connections=1,8,32] [rounds=3]

Asks for 20 items for random shoppers of a generated shop, over so many kept connections, of: a FastAPI application on
Ray Serve that does nothing (the floor), and one that asks two deployments that do nothing; a plain FastAPI application
by uvicorn with FAISS and torch over the same bundle, without and with our ranker; ours, fused and staged, without and
with 200 events a second arriving. As many processes each. Then ours over `big` items. All in turn, `rounds` times: a
machine's speed changes within minutes. Ratios are those of one round, and their median is told. Needs wrk. Writes
bench/results/serve.json.
"""

import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from tqdm import tqdm

from bench.client import Client
from bench.peers.servers import Target, noop, plain
from bench.report import keep, show
from bench.server import serving
from bench.shop import publish_shop
from bench.wrk import idle_cores, load
from cluster.command import run_command
from cluster.config import Config

EVENTS_S, EVENTS_TOGETHER, SENDERS = 200, 5, 4
WARM_UP_S, SETTLED, PATIENCE_S = 3, 0.5, 300
RATIOS = (
    ("p50_ms", "fused", "nothing, one hop", 1, "fused p50 at 1 connection / floor"),
    ("requests_s", "fused", "nothing, one hop", 32, "fused throughput / floor"),
    ("requests_s", "fused", "plain, ranked", 32, "fused throughput / plain with our ranker"),
    ("requests_s", "fused", "plain", 32, "fused throughput / plain, vectors alone"),
    ("requests_s", "fused + events", "fused", 32, "fused throughput with events / without"),
    ("requests_s", "staged", "nothing, three hops", 32, "staged throughput / floor of two more hops"),
    ("p50_ms", "fused, big", "fused", 1, "fused p50 of the big shop / the small"),
)


class ServeBench(Config):
    """What is measured."""

    items: int = Field(50_000, ge=100, description="items of the generated shop")
    big: int = Field(1_000_000, ge=0, description="items of another; 0: none")
    users: int = Field(20_000, ge=10, description="shoppers of either")
    replicas: int = Field(2, ge=1, description="processes of each server")
    seconds: int = Field(10, ge=1, description="of each load")
    rounds: int = Field(3, ge=1, description="how often each server is measured, in turn with the others")
    connections: str = Field("1,8,32", description="numbers with commas")
    servers: str = Field("", description="which ones, names with a | between them; empty: all")


Open = Callable[[], AbstractContextManager[Target]]


def main(words: list[str]) -> int:
    """Measure each server in turn; return 1 when one of them refused or broke."""
    config, rounds = ServeBench.parse(words), list[list[dict[str, Any]]]()
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        chosen = {
            name: opened for name, opened in servers(config, Path(folder)).items()
            if not config.servers or name in config.servers.split("|")
        }  # fmt: skip
        with tqdm(total=config.rounds * len(chosen), unit=" servers", disable=None) as progress:
            for _ in range(config.rounds):
                rounds.append([])
                for name, opened in chosen.items():
                    with opened() as target:
                        rounds[-1] += measured(name, target, config, False)
                        if name in ("fused", "staged"):
                            rounds[-1] += measured(f"{name} + events", target, config, True)
                    progress.update()
    rows = [median_of(alike) for alike in zip(*rounds, strict=True)]
    show(f"{config.items} items, {config.replicas} processes", rows)
    if ratios := [ratio for ratio in (compared(rounds, *sides) for sides in RATIOS) if ratio is not None]:
        show("side by side", ratios)
    keep("serve", {"config": config.model_dump(), "rows": rows, "ratios": ratios, "rounds": rounds})
    return int(any(row["failed"] for one in rounds for row in one))


def servers(config: ServeBench, folder: Path) -> dict[str, Open]:
    """Return how to open each server by name."""
    n, bundle = config.replicas, publish_shop(folder / "small", config.items, config.users)
    found: dict[str, Open] = {
        "nothing, one hop": partial(noop, n, 0),
        "nothing, three hops": partial(noop, n, 2),
        "plain": partial(plain, bundle, n, False),
        "plain, ranked": partial(plain, bundle, n, True),
        "fused": partial(ours, folder / "small", "fused", n),
        "staged": partial(ours, folder / "small", "staged", n),
    }
    if config.big:
        publish_shop(folder / "big", config.big, config.users)
        found["fused, big"] = partial(ours, folder / "big", "fused", n)
    return found


@contextmanager
def ours(registry: Path, topology: str, replicas: int) -> Iterator[Target]:
    """Serve the current bundle as a user would."""
    with serving(registry, topology, replicas) as server:
        yield Target(server.port, server.head_pid)


def measured(name: str, target: Target, config: ServeBench, has_events: bool) -> list[dict[str, Any]]:
    """Return a row for each number of connections."""
    rows = []
    load(target, config.users, 8, WARM_UP_S)
    idle, deadline = idle_cores(target.root), time.monotonic() + PATIENCE_S
    while idle > SETTLED and time.monotonic() < deadline:  # an index is being built
        idle = idle_cores(target.root)
    for connections in map(int, config.connections.split(",")):
        with arriving(target.port, config) if has_events else nullcontext([]) as applied:
            found = load(target, config.users, connections, config.seconds, idle)
        events_s = round(sum(applied) / config.seconds)
        rows.append(
            {
                "server": name,
                "connections": connections,
                **found._asdict(),
                "events_s": events_s,
                "idle_cores": round(idle, 2),
            }
        )
    return rows


@contextmanager
def arriving(port: int, config: ServeBench) -> Iterator[list[int]]:
    """Let EVENTS_S clicks a second arrive until the block ends, as far as they are taken; yields how many were."""
    ended, applied, began = threading.Event(), list[int](), time.monotonic()

    def send(number: int) -> None:
        rng, client, sent = random.Random(number), Client(port), 0
        while not ended.wait(max(0.0, began + SENDERS * sent / EVENTS_S - time.monotonic())):
            events = [
                {"type": "click", "user": f"u{rng.randrange(config.users)}", "item": f"i{rng.randrange(config.items)}"}
                for _ in range(EVENTS_TOGETHER)
            ]
            answer, sent = client.post("/v1/events", {"events": events}), sent + EVENTS_TOGETHER
            applied.append(answer.body["applied"] if answer.status == 200 else 0)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    try:
        yield applied
    finally:
        ended.set()
        for sender in senders:
            sender.join()


def median_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure of rows of one server and one number of connections."""
    return {
        name: round(statistics.median(row[name] for row in rows), 3) if isinstance(value, float) else value
        for name, value in rows[0].items()
    }  # fmt: skip


def compared(
    rounds: Sequence[list[dict[str, Any]]], figure: str, ours: str, theirs: str, connections: int, title: str
) -> dict[str, Any] | None:
    """Return how many times the other's figure ours is, in each round; nothing where one of them was not measured."""
    ratios = []
    for rows in rounds:
        found = {row["server"]: row[figure] for row in rows if row["connections"] == connections}
        if ours not in found or theirs not in found:
            return None
        ratios.append(round(found[ours] / found[theirs], 3))
    return {"figure": title, "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
