"""The log as a file: what live shoppers did, as fitting reads it."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from cluster.errors import DataError
from serve.state.catalogue import LiveCatalogue
from serve.state.events import ITEM, Write
from serve.state.history_file import logged_pages, write_events, write_items
from tests.serve.state.state_world import CUTOFF_MS, event, opened, run, send
from train.data.load import load
from train.data.prepare import PrepareConfig, prepare


def written(bundle: Path, data: Path, path: Path, after: int = 0) -> pd.DataFrame:
    write_events(logged_pages(bundle, data, after), path)
    return pd.read_parquet(path)


async def lived(bundle: Path, data: Path) -> None:
    store = opened(bundle, data)
    await send(store, [
        event("e1", "guest", 1, payload='{"price":2.5,"session":"s1"}'),
        event("e2", "u1", 2, order_key="o1", event_type="purchase", value=3.0),
        event("e3", "gone", 3), event("e4", "u1", -1, event_type="search", weight=0.0),
    ])  # fmt: skip
    await store.merge("account", "guest")
    await store.erase("gone")
    await store.close()


def test_events_are_told_under_the_ids_of_those_whom_they_belong_to(bundle: Path, data: Path, tmp_path: Path) -> None:
    run(lived(bundle, data))
    frame = written(bundle, data, tmp_path / "live.parquet")
    assert frame["user_id"].tolist() == ["account", "u1"]
    assert frame["item_id"].tolist() == ["i1", "i2"]
    assert frame["event_type"].tolist() == ["click", "purchase"]
    assert frame["order_id"].fillna("").tolist() == ["", "o1"]
    assert frame["price"].tolist()[0] == 2.5
    assert frame["timestamp"].tolist()[0] == pd.Timestamp(CUTOFF_MS + 1_000, unit="ms", tz="UTC")
    assert written(bundle, data, tmp_path / "live.parquet", after=1)["user_id"].tolist() == ["u1"]


def test_a_folder_with_what_happened_since_is_read_as_one(bundle: Path, data: Path, tmp_path: Path) -> None:
    run(lived(bundle, data))
    shop = tmp_path / "shop"
    written(bundle, data, shop / "live.parquet")
    (shop / "events.csv").write_text("user_id,item_id,timestamp\nu7,i3,2024-01-01\n")
    events = load(str(shop)).events
    assert events["user_id"].tolist() == ["u7", "account", "u1"]
    assert events["timestamp"].dt.year.tolist() == [2024, 2023, 2023]
    assert events["event_type"].tolist() == ["view", "click", "purchase"]
    (shop / "events.csv").write_text("user_id,item_id,position\nu7,i3,1\n")
    with pytest.raises(DataError, match="give `timestamp` in both"):
        load(str(shop))


def test_what_the_shop_wrote_of_its_items_follows_what_its_file_says(tmp_path: Path) -> None:
    catalogue = LiveCatalogue(pd.DataFrame({"item_id": ["i1", "i2"]}))
    for write in (
        Write(ITEM, "new", '{"price":2.5,"properties":{"colour":"red"},"tags":["a","b"],"title":"New"}'),
        Write(ITEM, "i2", '{"image":"https://shop/2","title":"Second"}'), Write(ITEM, "i1", ""),
        Write(ITEM, "ad", '{"catalogue":"ads","title":"Ad"}'),
    ):  # fmt: skip
        catalogue.write(write, is_placed=True)
    assert write_items(catalogue, tmp_path / "live_items.parquet") == 3
    assert write_items(LiveCatalogue(pd.DataFrame({"item_id": ["i1"]})), tmp_path / "none.parquet") == 0
    assert not (tmp_path / "none.parquet").exists()
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,timestamp\nu7,i1,2024-01-01\nu7,i2,2024-01-02\nu7,new,2024-01-03\n"
    )
    (tmp_path / "items.csv").write_text(
        "item_id,title,brand,image,catalogue\ni1,One,Acme,1.png,ads\ni2,Two,Acme,2.png,ads\n"
    )
    prepared = prepare(load(str(tmp_path)), PrepareConfig.parse([]), datetime.now(UTC), tmp_path / "rejects")
    told = prepared.catalogue.frame.set_index("item_id")
    assert told["title"].to_dict() == {"ad": "Ad", "i1": "One", "i2": "Second", "new": "New"}
    assert told["catalogue"].dropna().to_dict() == {"ad": "ads", "i1": "ads"}  # i2 was written among the products
    assert told["image"].dropna().to_dict() == {"i1": "1.png", "i2": "2.png"}
    assert told["tags"]["new"] == ["a", "b"]
    assert (told["price"]["new"], told["brand"].isna().to_dict()) == (
        2.5, {"ad": True, "i1": False, "i2": True, "new": True}
    )  # fmt: skip


def test_an_empty_log_writes_no_file(bundle: Path, data: Path, tmp_path: Path) -> None:
    async def begun() -> None:
        await opened(bundle, data).close()

    run(begun())
    with pytest.raises(DataError, match="no event with an item"):
        write_events(logged_pages(bundle, data, 0), tmp_path / "live.parquet")
    assert not (tmp_path / "live.parquet").exists()


def test_of_two_merged_into_each_other_the_last_one_has_it_all(bundle: Path, data: Path, tmp_path: Path) -> None:
    async def merged() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1", "a", 1), event("e2", "b", 2), event("e3", "c", 3)])
        for user_id, source in (("a", "b"), ("b", "a"), ("b", "c")):
            await store.merge(user_id, source)
        await send(store, [event("e4", "c", 4), event("e5", "a", 5)])  # old ids, used anew
        await store.close()

    run(merged())
    frame = written(bundle, data, tmp_path / "live.parquet")
    assert frame["user_id"].tolist() == ["b", "b", "b", "c", "a"]
