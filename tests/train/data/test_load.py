import gzip
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from cluster.errors import DataError
from tests.world import tiny_world, write_world
from train.data.load import load
from train.data.prepare import PrepareConfig, prepare

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_folder_of_events_items_and_users_is_read(tmp_path: Path) -> None:
    world = tiny_world()
    tables = load(str(write_world(world, tmp_path / "shop")))
    assert (tables.name, tables.has_clock) == ("shop", True)
    assert tables.events["item_id"].tolist() == world.events["item_id"].tolist()
    assert tables.items["title"].tolist() == world.items["title"].tolist()
    assert tables.users["traits"].tolist() == world.users["traits"].tolist()


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "jsonl", "xlsx"])
def test_a_file_of_any_usual_kind_is_read(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"user_id": ["007", "NA"], "item_id": ["0a", "1"], "timestamp": ["2024-01-01", "2024-01-02"]})
    path = tmp_path / f"events.{suffix}"
    writers = {
        "parquet": frame.to_parquet, "xlsx": lambda path: frame.to_excel(path, index=False),
        "jsonl": lambda path: frame.to_json(path, orient="records", lines=True),
    }  # fmt: skip
    writers.get(suffix, lambda path: frame.to_csv(path, index=False))(path)
    events = load(str(path)).events
    assert events["user_id"].tolist()[0] == "007"
    assert events["item_id"].tolist() == ["0a", "1"]


@pytest.mark.parametrize(
    "header", ["customer_id,sku,time", "visitorid,itemid,ts", "User ID;Product-ID;Date", "userId\tasin\tunixReviewTime"]
)
def test_the_usual_spellings_of_columns_are_known(tmp_path: Path, header: str) -> None:
    separator = next(mark for mark in ",;\t" if mark in header)
    path = write(tmp_path / "log.csv", f"{header}\n" + separator.join(["u1", "i1", "1388534400"]) + "\n")
    assert load(path).events.iloc[0].to_dict() == {
        "user_id": "u1", "item_id": "i1", "timestamp": 1388534400, "event_type": "view",
    }  # fmt: skip


def test_an_id_spelled_na_is_an_id_in_text_files(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "user_id,item_id,time,price\nNA,null,2024-01-01,NA\n,x,2024-01-01,1\n")
    events = load(path).events
    assert events["user_id"].fillna("missing").tolist() == ["NA", "missing"]
    assert events["item_id"].tolist() == ["null", "x"]
    assert events["price"].isna().tolist() == [True, False]


def test_position_stands_in_for_a_clock_and_a_split_column_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "interactions.csv", "user_id,item_id,position,split\n1,5,1,test\n1,4,0,train\n")
    tables = load(str(Path(path).parent))
    assert (tables.has_clock, tables.events["timestamp"].tolist()) == (False, [1, 0])
    assert "split" not in tables.events


def test_a_session_is_the_user_where_no_user_is_named(tmp_path: Path) -> None:
    events = load(write(tmp_path / "clicks.csv", "session_id,item_id,timestamp\ns1,a,2024-01-01\n")).events
    assert (events["user_id"].tolist(), events["event_type"].tolist()) == (["s1"], ["view"])


def test_lines_of_orders_are_purchases_where_no_type_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "sales.csv", "user_id,item_id,timestamp,order_id,unit_price\nu,a,2024-01-01,1,2.5\n")
    events = load(path).events
    assert (events["event_type"].tolist(), events["price"].tolist()) == (["purchase"], [2.5])


def test_columns_of_users_become_traits(tmp_path: Path) -> None:
    write(tmp_path / "events.csv", "user_id,item_id,timestamp\nu,a,2024-01-01\n")
    write(tmp_path / "users.csv", "Customer ID,age,city\nu,30,\n")
    assert load(str(tmp_path)).users.to_dict("records") == [{"user_id": "u", "traits": {"age": 30}}]


def test_items_of_text_files_end_as_attributes(tmp_path: Path) -> None:
    write(tmp_path / "events.csv", "user_id,item_id,timestamp\nu,1,2024-01-01\n")
    write(tmp_path / "items.csv", "item_id,name,tags\n1,One,a|b\n2,Two,b\n3,Three,c\n4,Four,\n")
    catalogue = prepare(load(str(tmp_path)), PrepareConfig.parse([]), NOW, tmp_path).catalogue
    assert catalogue.attribute_names == ("tag:b",)
    assert catalogue.frame["title"].tolist() == ["One", "Two", "Three", "Four"]


def test_a_missing_column_is_named_with_what_is_there_and_what_would_do(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "user_id,thing,timestamp\nu,a,2024-01-01\n")
    with pytest.raises(DataError, match=r"lacks the column item_id; it has user_id, thing, timestamp; .*sku") as caught:
        load(path)
    assert path in str(caught.value)


def test_a_file_with_neither_time_nor_position_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks the column timestamp"):
        load(write(tmp_path / "log.csv", "user_id,item_id\nu,a\n"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("e.csv", b"", "is empty"),
        ("e.csv", b"user_id,item_id,timestamp\n", "columns but no rows"),
        ("e.csv", b"\n\n", "cannot read"),
        ("e.csv", b'a,b\n"1,2\n', "cannot read"),
        ("e.parquet", b"PAR1 but not really", "cannot read"),
        ("e.xlsx", b"no zip", "cannot read"),
        ("e.csv.gz", b"no gzip", "cannot read"),
        ("e.jsonl", b"{broken", "cannot read"),
        ("e.docx", b"letter", "ends in none of"),
        ("e.txt", b"", "is empty"),
        ("e.txt", b"u1 i1\nu2\n", "user 'u2' has no items"),
    ],
)
def test_an_unreadable_file_is_one_clear_sentence(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        load(str(tmp_path / name))
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz"])
def test_a_file_that_is_latin_1_throughout_is_read_and_one_that_mixes_is_refused(tmp_path: Path, name: str) -> None:
    header, utf8, latin = (
        b"user_id,item_id,timestamp,text\n",
        "u,a,1,naïve 茶\n".encode(),
        "u,b,2,café\n".encode("latin-1"),
    )
    write_bytes = gzip.compress if name.endswith("gz") else bytes
    (tmp_path / name).write_bytes(write_bytes(header + latin + latin))
    assert load(str(tmp_path / name)).events["text"].tolist() == ["café", "café"]
    (tmp_path / name).write_bytes(write_bytes(header + latin + utf8))
    with pytest.raises(DataError, match=f"{name} mixes encodings: byte 10 of line 2 is 0xe9"):
        load(str(tmp_path / name))


def test_a_folder_without_events_says_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path / "sales.doc", "x")
    with pytest.raises(DataError, match=r"holds no events.parquet or events.csv, but sales.doc"):
        load(str(tmp_path))


def test_an_unknown_word_names_the_loaders() -> None:
    with pytest.raises(DataError, match="complete_journey, online_retail:<path>"):
        load("nowhere")


def test_a_loader_needs_a_file_that_exists(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        load(f"online_retail:{tmp_path / 'gone.csv'}")
