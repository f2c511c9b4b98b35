import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError
from tests.world import tiny_world
from train.data.ids import ID_PROBLEMS, id_problem
from train.data.schema import Tables
from train.data.validate import REJECTS_FILE, validate

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def world_with(column: str, value: object, n_events: int = 6) -> Tables:
    """Return a small world whose second event holds `value`."""
    world = tiny_world()
    events = world.events.head(n_events).astype(object)
    usual = events[column] if column in events else pd.Series(1, index=events.index, dtype=object)
    changed = [value if row == 1 else usual[row] for row in events.index]
    return replace(world, events=events.assign(**{column: pd.Series(changed, dtype=object)}))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("user_id", "", "user_id is empty"),
        ("user_id", None, "user_id is missing or cannot be read"),
        ("item_id", "x" * 129, "item_id is longer than 128 characters"),
        ("item_id", "a\nb", "item_id holds control characters"),
        ("user_id", unicodedata.normalize("NFD", "é"), "user_id is not in Unicode form NFC"),
        ("timestamp", "soon", "timestamp is missing or cannot be read"),
        ("timestamp", None, "timestamp is missing or cannot be read"),
        ("timestamp", "2025-01-01T00:00:01Z", "timestamp is in the future"),
        ("price", -0.01, "price is negative"),
        ("price", "3 pounds", "price is not a number"),
        ("price", float("inf"), "price is not a number"),
        ("quantity", "many", "quantity is not a number"),
        ("value", float("-inf"), "value is not a number"),
        ("event_type", "", "event_type is empty"),
        ("event_type", None, "event_type is missing or cannot be read"),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_its_reason(
    tmp_path: Path, column: str, value: object, reason: str
) -> None:
    checked = validate(world_with(column, value), NOW, tmp_path)
    rejects = pd.read_csv(tmp_path / REJECTS_FILE, dtype=str)
    assert rejects[["table", "row", "reason"]].to_numpy().tolist() == [["events", "1", reason]]
    assert len(checked.events) == 5
    assert checked.report.step("check events").why == f"{reason}: 1"


@pytest.mark.parametrize(
    ("column", "value"),
    [("user_id", "x" * 128), ("item_id", "a/b é"), ("price", 0), ("price", None), ("quantity", -2),
     ("event_type", "wishlisted"), ("timestamp", "2025-01-01T00:00:00Z")],
)  # fmt: skip
def test_a_row_at_the_edge_of_a_rule_is_kept(tmp_path: Path, column: str, value: object) -> None:
    assert len(validate(world_with(column, value), NOW, tmp_path).events) == 6
    assert not (tmp_path / REJECTS_FILE).exists()


def test_whole_numbers_become_text_ids(tmp_path: Path) -> None:
    events = tiny_world().events.head(3).assign(user_id=[7.0, 8.0, float("nan")], item_id=[1, 2, 3])
    checked = validate(replace(tiny_world(), events=events), NOW, tmp_path)
    assert checked.events["user_id"].tolist() == ["7", "8"]
    assert checked.events["item_id"].tolist() == ["1", "2"]


def test_a_refused_item_is_written_beside_refused_events(tmp_path: Path) -> None:
    world = world_with("price", -1)
    items = world.items.assign(price=[-5.0, *world.items["price"][1:]])
    checked = validate(replace(world, items=items), NOW, tmp_path)
    assert pd.read_csv(tmp_path / REJECTS_FILE)["table"].tolist() == ["events", "items"]
    assert len(checked.items) == len(items) - 1


@pytest.mark.parametrize("name", ["Ads", "a b", "x" * 65, "ä", "a.b", "ads\n."])
def test_an_item_of_a_catalogue_that_cannot_be_called_so_is_set_aside(tmp_path: Path, name: str) -> None:
    names = pd.Series(["ads", name, None, "products", "2024_spring-a"], dtype=object)
    items = tiny_world().items.head(5).assign(catalogue=names)
    checked = validate(replace(tiny_world(), items=items), NOW, tmp_path)
    assert checked.items["catalogue"].fillna("").tolist() == ["ads", "", "products", "2024_spring-a"]
    reasons = pd.read_csv(tmp_path / REJECTS_FILE)["reason"].tolist()
    assert reasons == ["catalogue is not 1 to 64 of a-z, 0-9, - and _"]


def test_rejects_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    validate(world_with("price", -1), NOW, tmp_path)
    validate(tiny_world(), NOW, tmp_path)
    assert not (tmp_path / REJECTS_FILE).exists()


def test_when_every_row_is_refused_the_commonest_reason_and_the_file_are_named(tmp_path: Path) -> None:
    world = tiny_world()
    events = world.events.assign(timestamp="2999-01-01", price=[-1.0] * 2 + [1.0] * (len(world.events) - 2))
    with pytest.raises(DataError, match="318 of them because timestamp is in the future") as caught:
        validate(replace(world, events=events.assign(timestamp=["x", "x", *events["timestamp"][2:]])), NOW, tmp_path)
    assert str(tmp_path / REJECTS_FILE) in str(caught.value)
    assert (tmp_path / REJECTS_FILE).exists()


def test_no_event_at_all_is_one_clear_sentence(tmp_path: Path) -> None:
    world = tiny_world()
    with pytest.raises(DataError, match="tiny_world holds no events"):
        validate(replace(world, events=world.events.iloc[:0]), NOW, tmp_path)


@pytest.mark.parametrize("position", [-1, 1.5])
def test_without_a_clock_a_position_is_a_whole_number(tmp_path: Path, position: float) -> None:
    world = tiny_world()
    events = world.events.head(3).assign(timestamp=[0, position, 2])
    checked = validate(replace(world, events=events, has_clock=False), NOW, tmp_path)
    assert checked.events["timestamp"].tolist() == [0, 2]


def test_half_a_surrogate_pair_is_no_id() -> None:
    assert id_problem("a\ud800") == "holds control characters"
    assert id_problem("日本/1") is None


@given(st.text(max_size=200) | st.text("ab \x00\x7fé́e", max_size=200))
def test_an_id_is_usable_when_no_problem_applies(text: str) -> None:
    assert id_problem(text) == next((problem for problem, applies in ID_PROBLEMS.items() if applies(text)), None)


def test_traits_are_mappings_also_where_a_text_file_holds_them_as_json(tmp_path: Path) -> None:
    users = pd.DataFrame({"user_id": ["a", "b", "c"], "traits": ['{"age": 3}', "thirty", {"age": 4}]})
    checked = validate(replace(tiny_world(), users=users), NOW, tmp_path)
    assert checked.users["traits"].tolist() == [{"age": 3}, {"age": 4}]
    assert pd.read_csv(tmp_path / REJECTS_FILE)["reason"].tolist() == ["traits are no mapping"]
