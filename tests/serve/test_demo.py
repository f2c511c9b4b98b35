from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from serve.demo import ORDERS, cast, examples, side_by_side
from tests.world import tiny_world
from train.bundle_state import BundleState, Manifest
from train.data.prepare import PrepareConfig, prepare
from train.models.item_state import ItemStateConfig, fit_item_state

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def shop(folder: Path) -> BundleState:
    prepared = prepare(tiny_world(orders_per_user=ORDERS[0]), PrepareConfig.parse([]), NOW, folder)
    vectors = np.zeros((prepared.catalogue.n_items, 4), dtype=np.float32)
    manifest = Manifest.model_construct(version="tiny")
    state = fit_item_state(vectors, prepared.interactions, True, ItemStateConfig.parse([]))
    return BundleState(
        manifest=manifest, items=prepared.catalogue.frame, state=state, histories=prepared.interactions
    )  # fmt: skip


def item(item_id: str, rank: int) -> dict:
    return {"id": item_id, "rank": rank, "properties": {"title": item_id.upper()}}


def test_the_shopper_is_known_and_clicks_on_what_they_never_had(tmp_path: Path) -> None:
    bundle = shop(tmp_path)
    user_id, unknown = cast(bundle, turn=3)
    assert user_id != cast(bundle, turn=4)[0]
    had = bundle.items["item_id"].iloc[bundle.histories.items_of(bundle.histories.index[user_id])]
    assert unknown and not set(unknown) & set(had)


def test_the_table_says_how_each_item_moved() -> None:
    before = [item("a", 1), item("b", 2), item("c", 3)]
    after = [item("b", 1), item("a", 2), item("d", 3)]
    console = Console(record=True, width=80)
    console.print(side_by_side(before, after))
    lines = [line for line in console.export_text().splitlines() if line.startswith("│")]
    assert [line.split("│")[4].strip() for line in lines] == ["▲ from 2", "▼ from 1", "new"]


def test_the_calls_to_try_name_the_server_the_shopper_and_the_item() -> None:
    text = examples("http://127.0.0.1:9", "u7", "sku1")
    assert text.count("curl -s http://127.0.0.1:9/v1/") == 3
    assert '"user": "u7"' in text and '"item": "sku1"' in text
