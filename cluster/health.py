"""What is wrong with a server, on one screen.

    python -m cluster.health [nodes=3]

Run it where `serve/run.py start` was run: on the head of the cluster that RAY_ADDRESS names, or on the one machine. It
starts and changes nothing. The exit code is 1 when anything is wrong.
"""

import json
import os
import shutil
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import ConfigDict, Field
from rich.console import Console
from rich.text import Text

from cluster.command import run_command
from cluster.config import Config, listed
from cluster.environment import LOCAL_HOSTS, home
from cluster.errors import LiveshelfError
from cluster.head import server_runs
from cluster.keys import Keyring
from cluster.runtime import (
    STORE,
    WATCHDOG,
    ActorSeen,
    NodeSeen,
    RuntimeConfig,
    actors,
    connect,
    disconnect,
    nodes,
    of_tenant,
)

GATEWAY = "SERVE_REPLICA::liveshelf#Gateway#"
LOG = "events.sqlite"
LEAST_FREE = 0.05  # of the log's disk
SETTINGS = "serving.json"  # in the home folder, as `serve/run.py start` leaves it
ASK_S = 5.0


class HealthArgs(Config):
    """What the command takes."""

    nodes: int = Field(1, ge=1, description="how many there should be")
    settings: str = Field("", description="file in which `start` kept its settings; empty: that of this home")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the screen."""

    what: str
    well: bool
    said: str


class Served(Config):
    """What the server was started with, as far as health is concerned."""

    model_config = ConfigDict(extra="ignore")

    registry: str
    bundle: str
    data: str
    keys: str
    tenants: str = ""
    host: str
    port: int
    replicas: int

    @property
    def is_local(self) -> bool:
        """Whether one machine alone reaches it."""
        return self.host in LOCAL_HOSTS


Ask = Callable[[str, int], str]  # the version of the bundle that answers at an address; raises OSError


def node_findings(seen: Sequence[NodeSeen], wanted: int) -> Iterator[Finding]:
    """Say how many nodes there are. One that died may be meant to be gone: it counts only where too few are left."""
    alive = [node.address for node in seen if node.alive]
    died = len(seen) - len(alive)
    said = f"{len(alive)} of {wanted}: {', '.join(alive)}" + (f"; {died} died since the head began" if died else "")
    yield Finding(what="nodes", well=len(alive) >= wanted, said=said)


def actor_findings(seen: Sequence[ActorSeen], tenants: Sequence[str] = ()) -> Iterator[Finding]:
    """Say where the store and its watchdog are, and those of each tenant."""
    by_name = {actor.name: actor for actor in seen}
    for tenant, (kind, name) in product(["", *tenants], (("store", STORE), ("watchdog", WATCHDOG))):
        actor, what = by_name.get(of_tenant(name, tenant)), f"{kind} {tenant}".rstrip()
        if actor is None:
            yield Finding(what=what, well=False, said="not there; run `python serve/run.py start` again")
        else:
            said = f"{actor.state.lower()} on {actor.address or 'no node'}, started again {actor.restarts} times"
            yield Finding(what=what, well=actor.state == "ALIVE", said=said)


def gateway_findings(seen: Sequence[ActorSeen], wanted: int) -> Iterator[Finding]:
    """Say how many gateways are on which node."""
    alive = Counter(actor.address for actor in seen if actor.name.startswith(GATEWAY) and actor.state == "ALIVE")
    there = ", ".join(f"{count} on {address}" for address, count in sorted(alive.items())) or "none"
    yield Finding(what="gateways", well=alive.total() >= wanted, said=f"{alive.total()} of {wanted}: {there}")


def answer_findings(addresses: Sequence[str], served: Served, ask: Ask) -> Iterator[Finding]:
    """Say whether each node with a gateway answers, and with which bundle."""
    versions = set()
    for address in addresses:
        try:
            versions.add(version := ask(address, served.port))
            yield Finding(what=f"port {address}:{served.port}", well=True, said=f"ready, bundle {version}")
        except (OSError, ValueError, KeyError) as error:
            yield Finding(what=f"port {address}:{served.port}", well=False, said=f"not ready: {error}")
    current = current_bundle(served)
    if current and versions:
        well = versions == {current}
        hint = "" if well else "; `python serve/run.py start` goes over to it"
        yield Finding(what="bundle", well=well, said=f"{', '.join(sorted(versions))} served, {current} wanted{hint}")


def current_bundle(served: Served) -> str:
    """Return the version that the settings name, empty where only pyarrow could read it."""
    if served.bundle != "current":
        return Path(served.bundle).name
    try:
        return (Path(served.registry) / "current").read_text().strip()
    except OSError:
        return ""


def disk_findings(data: Path, postgres: bool) -> Iterator[Finding]:
    """Say whether the log is there and its disk has room."""
    if not data.is_dir():
        yield Finding(what="log", well=False, said=f"{data} is missing; restore it before anything is started again")
        return
    files = [path for path in data.iterdir() if path.is_file()]
    sizes = sum(path.stat().st_size for path in files)
    there = postgres or (data / LOG).exists()
    place = "PostgreSQL, with snapshots in " if postgres else ""
    said = f"{place}{data}, {sizes / 2**20:,.0f} MiB" + ("" if there else "; the log itself is missing, restore it")
    yield Finding(what="log", well=there, said=said)
    usage = shutil.disk_usage(data)
    free = usage.free / usage.total
    yield Finding(what="disk", well=free >= LEAST_FREE, said=f"{usage.free / 2**30:,.1f} GiB free, {free:.0%}")


def key_findings(served: Served) -> Iterator[Finding]:
    """Say who may call."""
    ring = Keyring(Path(served.keys))
    try:
        keys, is_open = ring.keys, ring.is_open
    except LiveshelfError as error:
        yield Finding(what="keys", well=False, said=str(error))
        return
    if is_open:
        said = "none: whoever reaches the port may do everything"
        yield Finding(what="keys", well=served.is_local, said=said + ("" if served.is_local else "; make one at once"))
    else:
        names = ", ".join(sorted({key.name for key in keys})) or "all revoked, or the file was lost"
        yield Finding(what="keys", well=bool(keys), said=f"{len(keys)} live: {names}")


def cluster_findings(served: Served, wanted: int) -> Iterator[Finding]:
    """Say what the cluster knows, and ask every node."""
    connect(RuntimeConfig(address="head"))
    try:
        seen, running = nodes(), actors()
    finally:
        disconnect()
    yield from node_findings(seen, wanted)
    yield from actor_findings(running, listed(served.tenants))
    yield from gateway_findings(running, served.replicas)
    if served.is_local:
        addresses = [served.host]
    else:
        holders = {actor.address for actor in running if actor.name.startswith(GATEWAY)}
        addresses = [node.address for node in seen if node.alive and node.address in holders]
    yield from answer_findings(addresses, served, ask_ready)


def ask_ready(address: str, port: int) -> str:
    """Return which bundle answers at an address."""
    with urllib.request.urlopen(f"http://{address}:{port}/readyz", timeout=ASK_S) as answer:  # nosec B310 # http, of our own server
        return json.loads(answer.read())["modelVersion"]


def findings(settings: Path, wanted: int) -> Iterator[Finding]:
    """Say everything, as far as it can be known."""
    try:
        served = Served.model_validate_json(settings.read_text())
    except FileNotFoundError:
        said = f"{settings} is missing: nothing was ever started here; `python serve/run.py start`"
        yield Finding(what="server", well=False, said=said)
        return
    if server_runs():
        try:
            yield from cluster_findings(served, wanted)
        except LiveshelfError as error:
            yield Finding(what="cluster", well=False, said=str(error))
    else:
        yield Finding(what="cluster", well=False, said="none runs; start it with `python serve/run.py start`")
    yield from disk_findings(Path(served.data), postgres=bool(os.environ.get("LIVESHELF_LOG")))
    yield from key_findings(served)


def show(found: Sequence[Finding]) -> int:
    """Print one line for each; return the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    for finding in found:
        mark, style = ("ok", "green") if finding.well else ("WRONG", "bold red")
        console.print(Text.assemble((f"{mark:<6}", style), f"{finding.what:<24}{finding.said}"))
    return int(not all(finding.well for finding in found))


def main(words: list[str]) -> int:
    """Print the screen; return the exit code."""

    def work() -> int:
        args = HealthArgs.parse(words)
        settings = Path(args.settings) if args.settings else home() / SETTINGS
        return show(list(findings(settings, args.nodes)))

    return run_command(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
