"""`python -m serve.demo`: train on a year of groceries, serve, and watch a click change a shopper's list."""

import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from rich.console import Console
from rich.table import Table

from cluster.config import read_yaml
from cluster.errors import LiveshelfError, NotFoundError
from cluster.runtime import disconnect
from cluster.telemetry import configure_logging
from serve.config import StartArgs
from serve.run import check_port, start, url
from train.bundle_state import BundleState, read_bundle_state
from train.config import FitRun
from train.data.report import as_table
from train.data.source import prepare_data
from train.pipeline import fit_bundle
from train.registry import Registry
from train.run import metrics_table

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
    play(url(args), read_bundle_state(folder))
    console.rule("try it", align="left")
    console.print(examples(url(args), read_bundle_state(folder)), soft_wrap=True)


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


def play(server: str, bundle: BundleState) -> None:
    """Show a shopper's list, click on something new to them, and show the list that the click made."""
    user_id, unknown = cast(bundle)
    before = ask(server, user_id)
    item_id = unknown[before["stateVersion"] % len(unknown)]  # another one each time the demo is played
    began = time.perf_counter()
    event = post(f"{server}/v1/events", {"type": "click", "user": user_id, "item": item_id})
    after = ask(server, user_id, event["results"][0]["version"])
    elapsed_ms = (time.perf_counter() - began) * 1e3
    title = bundle.items.set_index("item_id").loc[item_id].get("title", item_id)
    console.print(f"shopper {user_id} clicks on {title!r} ({item_id})")
    console.print(side_by_side(before["items"], after["items"]))
    console.print(f"{elapsed_ms:.0f} ms from the click to the new list, state version {after['stateVersion']}")


def cast(bundle: BundleState) -> tuple[str, list[str]]:
    """Return a shopper of middling activity, and the items most popular of late among those they never had."""
    histories = bundle.histories
    orders = [len(np.unique(histories.order_idx[slice(*span)])) for span in _spans(histories.offsets)]
    user_idx = next(user_idx for user_idx, count in enumerate(orders) if ORDERS[0] <= count <= ORDERS[1])
    popular = np.argsort(-bundle.state.recent, kind="stable")
    unknown = popular[~np.isin(popular, histories.items_of(user_idx))][:N_UNKNOWN]
    return str(histories.user_ids[user_idx]), bundle.items["item_id"].iloc[unknown].tolist()


def ask(server: str, user_id: str, min_version: int = 0) -> dict[str, Any]:
    """Return a shopper's recommendations."""
    body = {"user": user_id, "count": N_SHOWN, "return": ["properties"], "minVersion": min_version}
    return post(f"{server}/v1/recommendations", body)


def post(address: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON that a POST answers."""
    request = urllib.request.Request(address, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
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


def examples(server: str, bundle: BundleState) -> str:
    """Return three calls to try."""
    user_id, unknown = cast(bundle)
    calls = (
        ("recommendations", {"user": user_id, "count": 5, "return": ["properties"]}),
        ("events", {"type": "purchase", "user": user_id, "item": unknown[-1]}),
        ("recommendations", {"user": "somebody new", "count": 5}),
    )
    lines = [f"curl -s {server}/v1/{path} -d '{json.dumps(body)}'" for path, body in calls]
    return "\n".join([*lines, "python serve/run.py stop   # when you have seen enough"])


def _spans(offsets: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))


def _title(item: dict[str, Any]) -> str:
    return item["properties"].get("title", item["id"])


def main(words: list[str]) -> int:
    """Run the demo; return the exit code."""
    configure_logging("WARNING")
    try:
        run(DemoArgs.parse(words))
    except LiveshelfError as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
