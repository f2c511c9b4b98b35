"""`python -m serve.demo`: train on a year of groceries, serve, and watch a click change a shopper's list."""

import json
import sys
import time
import urllib.request
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from rich.console import Console
from rich.table import Table

from cluster.command import run_command
from cluster.config import read_yaml
from cluster.errors import NotFoundError
from cluster.runtime import disconnect
from serve.config import StartArgs
from serve.run import check_port, start, url
from train.bundle_state import BundleState, read_bundle_state
from train.config import FitRun
from train.data.report import as_table
from train.data.source import prepare_data
from train.evaluation.printed import metrics_table
from train.pipeline import fit_bundle
from train.registry import Registry

SETTINGS = Path(__file__).parents[1] / "train" / "configs" / "complete_journey.yaml"
N_SHOWN = 10
N_UNKNOWN = 20
ORDERS = (20, 60)  # of the shopper that the demo plays: enough to be known, not the heaviest

console = Console(highlight=False)


class DemoArgs(StartArgs):
    """Where the demo keeps its things; all of it can be deleted."""

    registry: str = Field(default="var/demo/registry", description="folder of the demo's bundles")
    data: str = Field(default="var/demo/store", description="folder of the demo's event log")


def run(args: DemoArgs) -> None:
    """Train unless there is a bundle, serve it, and play a shopper."""
    check_port(args)  # before minutes of training
    folder = trained(args)
    console.rule("serving", align="left")
    ready = start(args)
    console.print(f"bundle {ready['modelVersion']} at {url(args)}")
    console.rule("a shopper clicks", align="left")
    user_id, unknown = cast(read_bundle_state(folder), ready["stateVersion"])
    play(url(args), user_id, unknown)
    console.rule("try it", align="left")
    console.print(examples(url(args), user_id, list(unknown)[-1]), soft_wrap=True)


def trained(args: DemoArgs) -> Path:
    """Return the demo's bundle, trained now if there is none."""
    registry = Registry(args.registry)
    try:
        folder = registry.find(args.bundle)
        console.print(f"found {folder}; delete {args.registry} to train again")
        console.print(metrics_table(read_bundle_state(folder).manifest.metrics))
        return folder
    except NotFoundError:
        pass
    config = FitRun.parse([f"registry={args.registry}"], read_yaml(SETTINGS))
    console.rule("preparing", align="left")
    prepared = prepare_data(config)
    console.print(as_table(prepared.report, prepared.name))
    console.rule("training", align="left")
    published = fit_bundle(config, prepared)
    disconnect()  # from the cluster that trained; serving runs on one that stays
    console.print(metrics_table(published.table))
    return published.folder


def play(server: str, user_id: str, unknown: dict[str, str]) -> None:
    """Show a shopper's list, click on something new to them, and show the list that the click made."""
    before = ask(server, user_id)
    item_id = liveliest(server, user_id, list(unknown), before)
    began = time.perf_counter()
    event = post(f"{server}/v1/events", {"type": "click", "user": user_id, "item": item_id})
    after = ask(server, user_id, event["results"][0]["version"])
    elapsed_ms = (time.perf_counter() - began) * 1e3
    console.print(f"shopper {user_id} clicks on {unknown[item_id]!r} ({item_id})")
    console.print(side_by_side(before["items"], after["items"]))
    console.print(f"{elapsed_ms:.0f} ms from the click to the new list, state version {after['stateVersion']}")


def liveliest(server: str, user_id: str, items: list[str], before: dict[str, Any]) -> str:
    """Return the item whose look would bring most to the list: a look in passing moves it as a click does."""
    shown = {item["id"] for item in before["items"]}

    def brought(item_id: str) -> int:
        return sum(item["id"] not in shown for item in ask(server, user_id, context=[item_id])["items"])

    return max((item_id for item_id in items if item_id not in shown), key=brought)


def cast(bundle: BundleState, turn: int) -> tuple[str, dict[str, str]]:
    """Return a shopper of middling activity, another one each turn, and the titles by id of what is new to them.

    The items are those most popular of late among those the shopper never had.
    """
    histories, items = bundle.histories, bundle.items
    orders = [len(np.unique(histories.order_idx[slice(*span)])) for span in _spans(histories.offsets)]
    middling = [user_idx for user_idx, count in enumerate(orders) if ORDERS[0] <= count <= ORDERS[1]]
    user_idx = middling[turn % len(middling)]
    popular = np.argsort(-bundle.state.recent, kind="stable")
    unknown = items.iloc[popular[~np.isin(popular, histories.items_of(user_idx))][:N_UNKNOWN]]
    return str(histories.user_ids[user_idx]), dict(zip(unknown["item_id"], unknown["title"], strict=True))


def ask(server: str, user_id: str, min_version: int = 0, context: Sequence[str] = ()) -> dict[str, Any]:
    """Return a shopper's recommendations; context: item ids looked at just now."""
    body: dict[str, Any] = {"user": user_id, "count": N_SHOWN, "return": ["properties"], "minVersion": min_version}
    body["context"] = {"items": list(context)}
    return post(f"{server}/v1/recommendations", body)


def post(address: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON that a POST answers."""
    request = urllib.request.Request(address, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # nosec B310 # http, of our own server
        return json.loads(answer.read())


def side_by_side(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Table:
    """Return two lists as a table that says how each item moved."""
    ranks = {item["id"]: item["rank"] for item in before}
    table = Table("", "before the click", "after it", "")
    for old, new in zip(before, after, strict=True):
        was = ranks.get(new["id"])
        moved = (
            "new" if was is None else "" if was == new["rank"] else f"{'▲' if was > new['rank'] else '▼'} from {was}"
        )
        table.add_row(str(old["rank"]), _title(old), _title(new), moved)
    return table


def examples(server: str, user_id: str, item_id: str) -> str:
    """Return three calls to try."""
    calls = (
        ("recommendations", {"user": user_id, "count": 5, "return": ["properties"]}),
        ("events", {"type": "purchase", "user": user_id, "item": item_id}),
        ("recommendations", {"user": "somebody new", "count": 5}),
    )
    lines = [f"curl -s {server}/v1/{path} -d '{json.dumps(body)}'" for path, body in calls]
    return "\n".join([*lines, f"{relpath(sys.executable)} serve/run.py stop   # when you have seen enough"])


def _spans(offsets: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))


def _title(item: dict[str, Any]) -> str:
    return item["properties"].get("title", item["id"])


def main(words: list[str]) -> int:
    """Run the demo; return the exit code."""
    return run_command(lambda: run(DemoArgs.parse(words)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
