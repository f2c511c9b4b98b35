"""Durability: kill -9 the store's process under load, and hold what it acknowledged against a ledger outside it.

    python -m bench.durability [kills=20] [seed=0]

Prints a table, writes bench/results/durability.json, and exits 1 if an acknowledged event was lost, a version changed,
or a replay came to another state.
"""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from cluster.config import Config
from cluster.storage import sha256, write_whole
from serve.state.config import StoreConfig
from serve.state.events import Event
from serve.state.live import LearnerConfig
from serve.state.store import Store
from train.bundle_state import MANIFEST, Manifest, write_bundle_state
from train.data.schema import Interactions
from train.models.item_state import ItemStateConfig, fit_item_state

N_ITEMS, DIM, N_USERS, CALLERS = 500, 16, 200, 8
ROOT = Path(__file__).resolve().parents[1]
STORE = StoreConfig(learner=LearnerConfig(negatives=16), snapshot_events=200)


class DurabilityConfig(Config):
    """How often to kill, and the seed of when."""

    kills: int = Field(default=20, ge=1, description="processes started, loaded and killed")
    seed: int = Field(default=0, ge=0, description="of when")
    max_acks: int = Field(default=400, ge=2, description="a process is killed before it gave this many acks")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the events that were acknowledged."""

    kills: int
    acked: int
    lost: int
    renumbered: int  # a retry was told another version than the first ack
    same_hash: bool  # recovery from a snapshot = replay of the whole log = the same again
    restart_ms_p50: float  # from the start of a process to its first ack
    restart_ms_max: float

    @property
    def passed(self) -> bool:
        """Whether nothing was lost."""
        return self.same_hash and self.lost == self.renumbered == 0


def kill_loop(config: DurabilityConfig, folder: Path) -> Outcome:
    """Start, load and kill the store's process again and again, then look at what is left."""
    write_bundle(folder / "bundle")
    rng = np.random.default_rng(config.seed)
    ledger: dict[str, int] = {}
    waits_ms = []
    for round_ in range(config.kills):
        started, before = time.perf_counter(), len(ledger)
        for event_id, version in acks_until_killed(folder, round_, int(rng.integers(1, config.max_acks))):
            if len(ledger) == before:
                waits_ms.append(1e3 * (time.perf_counter() - started))
            ledger[event_id] = version
    lost, renumbered, hashes = asyncio.run(_audit(folder, ledger))
    return Outcome(
        kills=config.kills, acked=len(ledger), lost=lost, renumbered=renumbered, same_hash=len(set(hashes)) == 1,
        restart_ms_p50=round(float(np.median(waits_ms)), 1), restart_ms_max=round(max(waits_ms), 1),
    )  # fmt: skip


def acks_until_killed(folder: Path, round_: int, kill_after: int) -> Iterator[tuple[str, int]]:
    """Yield the acks of a fresh process that is killed when `kill_after` of them arrived; its last words count too."""
    command = [sys.executable, "-m", "bench.durability", "child", str(folder), str(round_)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for count, line in enumerate(process.stdout or (), start=1):
            event_id, version = line.split()
            yield event_id, int(version)
            if count == kill_after:
                process.send_signal(signal.SIGKILL)


async def load_forever(folder: Path, round_: int) -> None:
    """Append events from several callers at once and print each ack; only a signal ends it."""
    store = Store.open(folder / "bundle", folder / "data", bootstrap=round_ == 0, config=STORE)
    await asyncio.gather(*(_call_forever(store, round_, caller) for caller in range(CALLERS)))


async def _call_forever(store: Store, round_: int, caller: int) -> None:
    rng = np.random.default_rng((round_, caller))
    for count in range(sys.maxsize):
        events = [_event(f"{round_}-{caller}-{count}-{line}", rng) for line in range(rng.integers(1, 4))]
        vectors = rng.normal(size=(len(events), DIM)).astype(np.float32)
        result = await store.append(events, vectors, store.position)
        # One write per line: a line is either in the pipe or was never said.
        for ack in result.acks:
            sys.stdout.write(f"{ack.event_id} {ack.version}\n")
            sys.stdout.flush()


async def _audit(folder: Path, ledger: dict[str, int]) -> tuple[int, int, list[tuple[int, str]]]:
    """Return how many acked events are lost or renumbered, and the state hashes of recovery and of two replays."""
    hashes, lost, renumbered = [], 0, 0
    for attempt in range(3):
        store = Store.open(folder / "bundle", folder / "data", config=STORE)
        hashes.append(await store.state_hash())
        if attempt == 0:
            known = store._machine.log.known(list(ledger))
            lost = len(ledger.keys() - known.keys())
            renumbered = sum(known[event_id][0] != ledger[event_id] for event_id in known)
        await store.close()
        for snapshot in (folder / "data").glob("snapshot-*"):
            snapshot.unlink()
    return lost, renumbered, hashes


def _event(event_id: str, rng: np.random.Generator) -> Event:
    return Event(
        event_id=event_id, user_id=f"u{rng.integers(N_USERS)}", item_idx=int(rng.integers(N_ITEMS)),
        event_type="click", weight=1.0, timestamp_ms=int(rng.integers(1_000_000)),
    )  # fmt: skip


def write_bundle(folder: Path, n_items: int = N_ITEMS, dim: int = DIM, version: str = "b1", cutoff_ms: int = 0) -> None:
    """Write the store's half of a random bundle without histories."""
    none, rng = np.empty(0, np.int64), np.random.default_rng(0)
    histories = Interactions(
        user_ids=np.empty(0, object), offsets=np.zeros(1, np.int64), item_idx=none, timestamp_ms=none, order_idx=none,
        weight=np.empty(0, np.float32),
    )  # fmt: skip
    folder.mkdir(parents=True)
    state = fit_item_state(
        rng.normal(scale=0.3, size=(n_items, dim)).astype(np.float32), histories, True, ItemStateConfig()
    )
    items = pd.DataFrame({"item_id": [f"i{index}" for index in range(n_items)]})
    write_bundle_state(items, state, histories, folder)
    write_whole(folder / "calibration.json", json.dumps({"item_state": ItemStateConfig().model_dump()}))
    manifest = Manifest(
        name="random", version=version, created=datetime(2024, 1, 1, tzinfo=UTC), data_cutoff_ms=cutoff_ms,
        keep_seen=True, code_version="0", config={}, metrics={},
        files={path.name: sha256(path) for path in folder.iterdir()},
    )  # fmt: skip
    write_whole(folder / MANIFEST, manifest.model_dump_json())


def main(words: list[str]) -> int:
    if words[:1] == ["child"]:
        asyncio.run(load_forever(Path(words[1]), int(words[2])))
    config = DurabilityConfig.parse(words)
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_loop(config, Path(folder))
    for name, value in asdict(outcome).items():
        print(f"{name:16} {value}")
    write_whole(ROOT / "bench/results/durability.json", json.dumps(asdict(outcome) | {"seed": config.seed}, indent=1))
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
