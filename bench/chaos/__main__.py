"""One fault after the other under load: what is lost, what is refused, and for how long.

    python -m bench.chaos [only=store,gateway] [callers=2] [readers=2] [times=1]

Events go to the server and are noted outside of it when it acknowledges them; shoppers ask for lists meanwhile. Each
fault has its own table row: what was acknowledged and lost, how many lists came, how long there was no ack and no list.
Writes bench/results/chaos.json, and exits 1 if an acknowledged event was lost or got another version. The row of a full
disk needs root, to mount one; rows with Redis are left out where redis-server is not installed.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.chaos.disk import small_disk
from bench.chaos.faults import ANOTHER, FAULTS, Fault
from bench.chaos.redis import missing, redis
from bench.ledger import LOCAL, Ledger, audit, load
from bench.readers import Readers
from bench.report import keep, show
from bench.server import ROOT, Server, serving
from bench.shop import publish_shop
from cluster.command import complain, run_command
from cluster.config import Config, listed
from cluster.errors import ConfigError
from cluster.head import REDIS

PACKAGES = ("cluster", "train", "tune", "serve")
WARM_ACKS, CALM_S, PATIENCE_S = 100, 3.0, 120.0


class ChaosBench(Config):
    """Which faults, and the load meanwhile."""

    only: str = Field("", description="with commas: faults whose names hold one of these; empty: all")
    times: int = Field(1, ge=1, description="that each is done")
    callers: int = Field(2, ge=1, le=64, description="connections that send one event after the other")
    readers: int = Field(2, ge=1, le=64, description="connections that ask for one list after the other")
    items: int = Field(5_000, ge=100, description="items of the generated shop")
    users: int = Field(1_000, ge=10, description="its shoppers")


def main(words: list[str]) -> int:
    """Do them; return 1 where something acknowledged is gone."""
    config, rows = ChaosBench.parse(words), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:
        publish_two(Path(folder), config)
        for server, faults in served(Path(folder), chosen(config.only)):
            for fault in (fault for fault in faults for _ in range(config.times)):
                told = suffered(server, fault, config, len(rows))
                rows.append({"fault": fault.name, "to": str(fault.to), **told})
                show("chaos", [printed(row) for row in rows])
    keep("chaos", {"config": config.model_dump(), "rows": rows})
    return int(any(row["lost"] or row["renumbered"] for row in rows))


def chosen(only: str) -> list[Fault]:
    """Return the wanted faults; raise ConfigError where a word means none."""
    words, names = listed(only), sorted({fault.name for fault in FAULTS})
    if unknown := [word for word in words if not any(word in name for name in names)]:
        raise ConfigError(f"only={only}: no fault is called {unknown[0]!r}; there are {', '.join(names)}")
    return [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]


def served(registry: Path, faults: list[Fault]) -> Iterator[tuple[Server, list[Fault]]]:
    """Yield servers, each with the faults that it takes."""
    for kind in dict.fromkeys(fault.to for fault in faults):
        own = [fault for fault in faults if fault.to == kind]
        if kind.redis and (why := missing()):
            complain(f"left out: {', '.join(fault.name for fault in own)}; {why}")
            continue
        with ExitStack() as stack:
            data = stack.enter_context(small_disk(kind.disk)) / "data" if kind.disk else None
            variables = {REDIS: stack.enter_context(redis())} if kind.redis else {}
            root = stack.enter_context(copied_code()) if kind.copied else ROOT
            server = serving(registry, kind.topology, data=data, variables=variables, root=root)
            yield stack.enter_context(server), own


@contextmanager
def copied_code() -> Iterator[Path]:
    """Give a folder with the code that a server runs on."""
    with tempfile.TemporaryDirectory(prefix="lsc-") as folder:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, Path(folder) / package)
        yield Path(folder)


def suffered(server: Server, fault: Fault, config: ChaosBench, number: int) -> dict[str, Any]:
    """Return what a fault did to a server under load; number: another one for each, so that no id is sent twice."""
    ledger = Ledger([f"i{index}" for index in range(config.items)])
    readers = Readers([LOCAL] * config.readers, server.port, [f"u{index}" for index in range(config.users)])
    with load(server.port, ledger, config.callers, name=number), readers as reads:
        ledger.require_more(WARM_ACKS, PATIENCE_S)
        began = time.monotonic()
        fault.strike(server)
        struck_s = time.monotonic() - began
        ledger.require_more(1 + config.callers, PATIENCE_S)  # those under way may come yet
        time.sleep(CALM_S)
    lost, renumbered = audit(server.port, ledger)
    return {
        "acked": len(ledger.acks), "lost": lost, "renumbered": renumbered, "refused": ledger.refusals,
        "no_ack_s": round(ledger.silence.longest_s, 2), "lists": reads.good, "flagged": reads.flagged,
        "failed": len(reads.failed), "no_list_s": round(reads.silence.longest_s, 2), "mended_s": round(struck_s, 1),
    }  # fmt: skip


def printed(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the table has it."""
    return {
        "fault": ", ".join(filter(None, (row["fault"], row["to"]))), "acked": row["acked"],
        "lost": row["lost"] + row["renumbered"], "no ack s": row["no_ack_s"], "lists": row["lists"],
        "failed": row["failed"], "no list s": row["no_list_s"], "mended s": row["mended_s"],
    }  # fmt: skip


def publish_two(registry: Path, config: ChaosBench) -> None:
    """Publish a shop's bundle, which is the current one, and another of the same items."""
    publish_shop(registry, config.items, config.users, seed=1, version=ANOTHER)
    publish_shop(registry, config.items, config.users)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
