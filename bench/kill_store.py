"""Durability over HTTP: kill -9 the store's process under load; what it acknowledged is held against a ledger outside.

    python -m bench.kill_store [kills=10] [topology=fused]

Prints a table, writes bench/results/kill_store.json, and exits 1 if an acknowledged event was lost, a version changed,
or a replay of the log from zero came to another state than the live one.
"""

import asyncio
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from tqdm import tqdm

from bench.ledger import Ledger, audit, load
from bench.processes import STORE, kill_one
from bench.report import keep, show
from bench.server import Server, serving
from bench.shop import publish_shop
from cluster.config import Config
from serve.state.store import Store

PATIENCE_S = 60
LIVE_HASH = """
from cluster.runtime import RuntimeConfig, connect
import ray
from serve.store_client import find_store
connect(RuntimeConfig(address="head"))
print(*ray.get(find_store().state_hash.remote()))
"""


class KillStoreConfig(Config):
    """How often to kill, and the load meanwhile."""

    kills: int = Field(default=10, ge=1, description="times the store's process is killed")
    topology: Literal["fused", "staged"] = Field(default="fused", description="of the server")
    callers: int = Field(default=4, ge=1, le=64, description="connections that send one event after the other")
    acks_between: int = Field(default=20, ge=1, description="acks before each kill")
    items: int = Field(default=1_000, ge=100, description="items of the generated shop")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the events that were acknowledged."""

    kills: int
    acked: int
    lost: int
    renumbered: int  # a retry was told another version than the first ack
    refusals: int  # calls without an ack, each sent again
    same_hash: bool  # the live state = a replay of the log from zero
    recovery_s_p50: float  # from the kill to the next ack
    recovery_s_max: float
    s_per_kill: float  # with the acks before it

    @property
    def passed(self) -> bool:
        """Whether nothing was lost."""
        return self.same_hash and self.lost == self.renumbered == 0


def kill_loop(server: Server, bundle: Path, config: KillStoreConfig) -> Outcome:
    """Load the server, kill its store again and again, then look at what is left; the server is stopped."""
    ledger, recovery_s = Ledger([f"i{index}" for index in range(config.items)]), []
    began = time.perf_counter()
    with load(server.port, ledger, config.callers):
        for _ in tqdm(range(config.kills), unit=" kills", disable=None):
            ledger.require_more(config.acks_between, PATIENCE_S)
            kill_one(STORE, server.head_pid)
            recovery_s.append(ledger.require_more(1 + config.callers, PATIENCE_S))  # those under way may come yet
    s_per_kill = (time.perf_counter() - began) / config.kills
    lost, renumbered = audit(server.port, ledger)
    live = server.python("-c", LIVE_HASH).split()
    server.python("serve/run.py", "stop")
    version, state_hash = asyncio.run(replay(bundle, server.data))
    return Outcome(
        kills=config.kills, acked=len(ledger.acks), lost=lost, renumbered=renumbered, refusals=ledger.refusals,
        same_hash=live == [str(version), state_hash], recovery_s_p50=round(float(np.median(recovery_s)), 2),
        recovery_s_max=round(max(recovery_s), 2), s_per_kill=round(s_per_kill, 2),
    )  # fmt: skip


async def replay(bundle: Path, data: Path) -> tuple[int, str]:
    """Return the version and hash of the state that the whole log comes to, without any snapshot."""
    for snapshot in data.glob("snapshot-*"):
        snapshot.unlink()
    store = Store.open(bundle, data)
    found = await store.state_hash()
    await store.close()
    return found


def main(words: list[str]) -> int:
    """Kill and audit; return 1 when something was lost."""
    config = KillStoreConfig.parse(words)
    with tempfile.TemporaryDirectory(prefix="lsb-") as registry:
        bundle = publish_shop(Path(registry), config.items, n_users=200)
        with serving(Path(registry), config.topology) as server:
            outcome = kill_loop(server, bundle, config)
    show("the store killed under load", [{"what": name, "figure": value} for name, value in asdict(outcome).items()])
    keep("kill_store", {"config": config.model_dump(), **asdict(outcome)})
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
