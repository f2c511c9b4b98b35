"""`python serve/run.py <command> key=value …`: the server on this machine, its past, and what becomes of it."""

import json
import logging
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

if not __package__:  # started as a file: let `serve.…` be found whatever the working directory
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rich.console import Console

from cluster.command import complain, run_one_of
from cluster.environment import home, joins_a_cluster
from cluster.errors import ConfigError, LiveshelfError, RuntimeStartError
from cluster.head import end_orphans, running_head, server_runs, start_head, stop_head
from cluster.health import SETTINGS
from cluster.keys import Keyring
from cluster.runtime import RuntimeConfig, connect, disconnect
from cluster.storage import write_whole
from cluster.tracing import wanted_tracing
from serve.app import deploy, withdraw
from serve.config import DeadLettersArgs, EventsArgs, LogArgs, RefreshArgs, ReplayArgs, StartArgs
from serve.hindsight import slate_then
from serve.past import bundle_of, catalogue_of, letters_of, pages_of, started_with
from serve.probation import fallen, live_figure
from serve.refresh import refresh
from serve.state.history_file import LIVE_ITEMS, write_events, write_items
from serve.state.replay import replay
from train.bundle_state import check_bundle
from train.registry import Registry

log = logging.getLogger(__name__)
console = Console(highlight=False)
POLL_S = 0.1


def start(args: StartArgs, moved: str | None = None) -> dict[str, Any]:
    """Serve in the background and return what the first replica says of itself; a running server is changed instead.

    moved: the tenant that alone goes over to its current bundle; none: all do.
    """
    for own in (args.of(tenant) for tenant in args.shops() if moved in (None, tenant)):
        check_bundle(Registry(own.registry).find(own.bundle))  # what is wrong is said before anything starts
    require_keys(args)
    require_same_keys(args)
    wanted_tracing()  # raises where spans have nowhere to go
    end_orphans()
    running = joins_a_cluster() or check_port(args)
    if not joins_a_cluster():
        start_head()
    try:
        connect(RuntimeConfig(address="head"))
        deploy(args, moved, "current")
        ready = await_ready(args)
        write_whole(home() / SETTINGS, args.located().model_dump_json())
        return ready
    except BaseException:
        if not running:
            stop_head()
        raise
    finally:
        disconnect()


def stop() -> bool:
    """End the server with every process it started, the store first and in order; tell whether there was one.

    A cluster that RAY_ADDRESS names stays, with whatever else runs on it.
    """
    served = False
    if server_runs():
        try:
            connect(RuntimeConfig(address="head"))
            served = withdraw()
        except RuntimeStartError as error:
            log.warning("store not closed cleanly error=%s", error)
        finally:
            disconnect()
    return served if joins_a_cluster() else stop_head()


def start_command(words: list[str]) -> None:
    """Serve the current bundle until `stop`; called again, change the running server."""
    args = StartArgs.parse(words)
    ready = start(args)
    console.print(
        f"serving bundle {ready['modelVersion']} at {url(args)} (documentation: {url(args)}/docs)", soft_wrap=True
    )


def stop_command(words: list[str]) -> None:
    """End the server with every process it started; what was acknowledged stays in the log."""
    if words:
        raise ConfigError(f"stop takes no settings, not {words[0]!r}")
    console.print("stopped" if stop() else "nothing was running")


def status_command(words: list[str]) -> None:
    """Say whether the server runs, and what it serves."""
    args = StartArgs.parse(words, started_with())
    if not server_runs():
        raise RuntimeStartError("nothing runs; start it with `python serve/run.py start`")
    console.print_json(json.dumps(ask_ready(args)))


def replay_command(words: list[str]) -> None:
    """Say what a stopped server's log comes to, up to any moment, without shoppers, and what one would have seen."""
    args = ReplayArgs.parse(words)
    args = args.of(args.tenant)
    bundle = Registry(args.registry).find(args.bundle)
    found = replay(bundle, Path(args.data), args.end, args.excluded(), args.learner)
    header = found.snapshot.header
    rounded = "" if args.until in (None, header.version) else f" (the end of the commit that holds {args.until})"
    console.print(f"version {header.version}{rounded}, state {header.state_hash}", soft_wrap=True)
    if args.exclude_users:
        console.print(f"without {found.n_silent} events; DELETE /v1/users/<id> makes it so")
    if args.user:
        items = slate_then(bundle, found, args.learner, args.user, args.count)
        console.print(f"{args.user} would have been shown {', '.join(items)}", soft_wrap=True)


def events_command(words: list[str]) -> None:
    """Write the log's events to a file that `train/run.py fit` reads, of a running server or a stopped one."""
    args = EventsArgs.parse(words)
    if not args.out.endswith(".parquet"):
        raise ConfigError(f"out={args.out} does not end in .parquet, which is what is written; name it so")
    count = write_events(pages_of(args, args.after), Path(args.out))
    console.print(f"wrote {count:,} events to {args.out}", soft_wrap=True)
    items = Path(args.out).with_name(LIVE_ITEMS)
    if n_items := write_items(catalogue_of(args), items):
        console.print(f"wrote {n_items:,} items to {items}", soft_wrap=True)


def dead_letters_command(words: list[str]) -> None:
    """Print the newest refused events as JSON lines, of a running server or a stopped one."""
    args = DeadLettersArgs.parse(words)
    letters = letters_of(args)
    lines = "".join(f"{letter.as_line()}\n" for letter in letters)
    if not args.out:
        sys.stdout.write(lines)
        return
    write_whole(Path(args.out), lines)
    console.print(f"wrote {len(letters):,} refused events to {args.out}", soft_wrap=True)


def refresh_command(words: list[str]) -> None:
    """Fit a bundle on what happened since, and serve it where it does no worse; `every_hours=24` goes on doing so."""
    args = RefreshArgs.parse(words, started_with())
    while True:
        due = time.monotonic() + 3_600 * (args.every_hours or 0)
        try:
            refresh_once(args)
        except LiveshelfError as error:
            if args.every_hours is None:
                raise
            complain(f"error: {error}")
        if args.every_hours is None:
            return
        time.sleep(max(0.0, due - time.monotonic()))


def refresh_once(args: RefreshArgs) -> None:
    """Refresh the bundle that is served, and go over to the new one where a server runs."""
    own = args.of(args.tenant)
    where = LogArgs.checked(args.model_dump(include=set(LogArgs.model_fields)))
    version = refresh(own, bundle_of(where), pages_of(where), catalogue_of(where))
    if version is None:
        return
    before = live_figure(url(args))
    promote(args, version)
    if not server_runs() or not args.watch_hours:
        return
    if before is None:
        console.print("no live figure before, or none that LIVESHELF_KEY may read: the new bundle is not watched")
        return
    if (now := fallen(url(args), before, args.watch_hours, args.probation)) is not None:
        console.print(
            f"the live NDCG@10 fell from {before.ndcg:.4f} ({before.effective:.0f} events) to {now.ndcg:.4f} "
            f"({now.effective:.0f}) with bundle {now.version}: going back", soft_wrap=True,
        )  # fmt: skip
        promote(args, before.version)


def promote(args: RefreshArgs, version: str) -> None:
    """Make a bundle the current one, and let a running server go over to it."""
    Registry(args.of(args.tenant).registry).promote(version)
    if not server_runs():
        console.print(f"bundle {version} is the current one and served from the next start on", soft_wrap=True)
        return
    wanted = args.model_dump(include=set(StartArgs.model_fields)) | ({} if args.tenant else {"bundle": "current"})
    start(StartArgs.checked(wanted), moved=args.tenant)
    console.print(f"serving bundle {version}", soft_wrap=True)


COMMANDS = {
    "start": start_command, "stop": stop_command, "status": status_command, "replay": replay_command,
    "events": events_command, "dead_letters": dead_letters_command, "refresh": refresh_command,
}  # fmt: skip


def url(args: StartArgs) -> str:
    """Return where the server listens."""
    return f"http://{args.host}:{args.port}"


def require_keys(args: StartArgs) -> None:
    """Refuse to let the network in without keys, and to serve tenants, whom nothing else tells apart."""
    if not Keyring(Path(args.keys)).is_open:
        return
    if args.tenants:
        raise ConfigError(
            f"tenants={args.tenants} are told apart by their keys, and {args.keys} holds none; make one for each with "
            "`python -m cluster.keys create name=shop scopes=read,events tenant=…`"
        )
    if not args.is_local:
        raise ConfigError(
            f"host={args.host} lets the network in, and {args.keys} holds no keys; make one with "
            "`python -m cluster.keys create name=shop scopes=read,events`"
        )


def require_same_keys(args: StartArgs) -> None:
    """Refuse to open a running server that has keys, only because nobody named them again."""
    before = started_with()
    if before and Keyring(Path(args.keys)).is_open and not Keyring(Path(before["keys"])).is_open:
        raise ConfigError(
            f"the running server's keys are in {before['keys']}, and {args.keys} holds none: name "
            f"keys={before['keys']} again, or stop the server first"
        )


def check_port(args: StartArgs) -> bool:
    """Return whether our server runs there already; raise when somebody else does, or ours runs elsewhere."""
    running, reason = running_head() is not None, busy(args.host, args.port)
    if running and not reason:
        raise RuntimeStartError(f"the running server does not listen on {args.host}:{args.port}; stop it first")
    if not running and reason:
        raise RuntimeStartError(f"cannot listen on {args.host}:{args.port}: {reason}; choose another port=…")
    return running


def busy(host: str, port: int) -> str:
    """Return why nobody new can listen there, nothing when somebody could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def ask_ready(args: StartArgs) -> dict[str, Any]:
    """Return what /readyz answers."""
    try:
        with urllib.request.urlopen(f"{url(args)}/readyz", timeout=5) as answer:  # nosec B310 # http, of our own server
            return json.loads(answer.read())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise RuntimeStartError(f"{url(args)} is not ready: {error}") from None


def await_ready(args: StartArgs) -> dict[str, Any]:
    """Return what /readyz answers as soon as it answers well."""
    deadline = time.monotonic() + args.timeout_s
    while True:
        try:
            return ask_ready(args)
        except RuntimeStartError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


def main(words: list[str]) -> int:
    """Run one command; return the exit code."""
    return run_one_of(COMMANDS, words, "python serve/run.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
