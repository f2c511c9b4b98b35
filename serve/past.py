"""What the log holds, from the store's process where a server runs here, else from the log itself."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.environment import home
from cluster.head import server_runs
from cluster.health import SETTINGS
from cluster.runtime import RuntimeConfig, connect, disconnect
from serve.config import LogArgs
from serve.state.catalogue import LiveCatalogue
from serve.state.dead_letters import DeadLetter
from serve.state.event_log import LoggedEvent
from serve.state.folder import opened_log
from serve.state.history_file import logged_pages
from serve.state.replay import replay
from serve.store_host import served_bundle, served_image, served_letters, served_pages
from train.bundle_state import read_bundle_state
from train.registry import Registry


def pages_of(args: LogArgs, after: int = 0) -> Iterator[list[LoggedEvent]]:
    """Yield the log's events after version `after`."""
    if not is_served(args):
        yield from logged_pages(_named(args), _data(args), after)
        return
    with on_the_server():
        yield from served_pages(after, args.tenant)


def catalogue_of(args: LogArgs) -> LiveCatalogue:
    """Return who the items are, and what the shop wrote of them."""
    folder = bundle_of(args)
    catalogue = LiveCatalogue(read_bundle_state(folder).items)
    if not is_served(args):
        catalogue.restore(replay(folder, _data(args)).snapshot.arrays["catalogue"])
    else:
        with on_the_server():
            catalogue.restore(served_image(args.tenant).arrays["catalogue"])
    return catalogue


def letters_of(args: LogArgs) -> list[DeadLetter]:
    """Return the refused events."""
    if not is_served(args):
        with opened_log(_named(args), _data(args)) as log:
            return log.letters.all()
    with on_the_server():
        return served_letters(args.tenant)


def bundle_of(args: LogArgs) -> Path:
    """Return the folder of the bundle that is served, or would be."""
    if not is_served(args):
        return _named(args)
    with on_the_server():
        return served_bundle(args.tenant)


def is_served(args: LogArgs) -> bool:
    """Tell whether a server runs here and what is asked for is its: a folder that is named may be another one."""
    place = "tenants_folder" if args.tenant else "data"
    if not server_runs() or place not in args.model_fields_set:
        return server_runs()
    settings = started_with()
    return settings is None or Path(settings[place]) == Path(getattr(args, place)).absolute()


def started_with() -> dict[str, Any] | None:
    """Return the settings of the running server, if there is one that told them."""
    if not server_runs():
        return None
    try:
        return json.loads((home() / SETTINGS).read_text())
    except FileNotFoundError:
        return None


@contextmanager
def on_the_server() -> Iterator[None]:
    """Reach the server's cluster for as long as the block runs."""
    connect(RuntimeConfig(address="head"))
    try:
        yield
    finally:
        disconnect()


def _named(args: LogArgs) -> Path:
    own = args.of(args.tenant)
    return Registry(own.registry).find(own.bundle)


def _data(args: LogArgs) -> Path:
    return Path(args.of(args.tenant).data)
