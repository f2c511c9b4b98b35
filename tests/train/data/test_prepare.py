from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DataError
from tests.world import tiny_world
from train.data.prepare import PrepareConfig, prepare
from train.data.prepared import Prepared
from train.data.schema import Interactions, Tables
from train.data.steps.events import kept_purchases

NOW = datetime(2025, 1, 1, tzinfo=UTC)
NO_ITEMS = pd.DataFrame({"item_id": pd.Series(dtype="str")})
NO_USERS = pd.DataFrame({"user_id": pd.Series(dtype="str")})


def tables(rows: list[tuple], columns: str = "user_id item_id timestamp", has_clock: bool = True) -> Tables:
    events = pd.DataFrame(rows, columns=columns.split())
    return Tables(name="hand", events=events, items=NO_ITEMS, users=NO_USERS, has_clock=has_clock)


def prepared(source: Tables, *words: str) -> Prepared:
    with TemporaryDirectory() as folder:
        return prepare(source, PrepareConfig.parse(list(words)), NOW, Path(folder))


def history(result: Prepared) -> dict[str, list[str]]:
    ids, rows = result.catalogue.item_ids, result.interactions
    return {user_id: ids[rows.items_of(user_idx)].tolist() for user_idx, user_id in enumerate(rows.user_ids)}


def test_history_is_oldest_first_whatever_the_order_of_the_file() -> None:
    source = tables([("b", "x", 30), ("a", "z", 20), ("a", "y", 10), ("b", "w", 5)])
    assert history(prepared(source)) == {"a": ["y", "z"], "b": ["w", "x"]}


def test_items_are_numbered_by_id_and_not_by_first_appearance() -> None:
    source = tables([("a", "9", 1), ("a", "10", 2), ("a", "2", 3)])
    assert prepared(source).catalogue.item_ids.tolist() == ["10", "2", "9"]


def test_lines_of_one_moment_are_one_order_where_no_orders_are_named() -> None:
    rows = prepared(tables([("a", "x", 1), ("a", "y", 1), ("a", "z", 2), ("b", "x", 1)])).interactions
    assert rows.order_idx.tolist() == [0, 0, 1, 2]


def test_without_a_clock_each_row_is_an_order_and_nothing_is_merged() -> None:
    source = tables([("a", "x", 0), ("a", "x", 1), ("a", "y", 2)], has_clock=False)
    assert prepared(source).interactions.order_idx.tolist() == [0, 1, 2]


def test_an_order_stays_together_and_happens_at_its_last_line() -> None:
    rows = [("a", "x", 10, "o1"), ("a", "y", 20, "o2"), ("a", "z", 30, "o1")]
    result = prepared(tables(rows, "user_id item_id timestamp order_id"))
    assert history(result) == {"a": ["y", "x", "z"]}
    assert result.interactions.timestamp_ms.tolist() == [20_000, 30_000, 30_000]
    assert result.interactions.order_idx.tolist() == [0, 1, 1]


def test_lines_without_an_order_id_are_ordered_by_time() -> None:
    rows = [("a", "x", 10, None), ("a", "y", 10, None), ("a", "z", 10, "o1")]
    result = prepared(tables(rows, "user_id item_id timestamp order_id"))
    assert sorted(Counter(result.interactions.order_idx.tolist()).values()) == [1, 2]


def test_one_order_id_of_two_users_is_two_orders() -> None:
    result = prepared(tables([("a", "x", 1, "1"), ("b", "x", 1, "1")], "user_id item_id timestamp order_id"))
    assert result.interactions.order_idx.tolist() == [0, 1]


def test_the_same_item_twice_in_an_order_counts_once_at_its_greatest_worth() -> None:
    rows = [("a", "x", 1, "view"), ("a", "x", 1, "purchase"), ("a", "x", 2, "view")]
    result = prepared(tables(rows, "user_id item_id timestamp event_type"))
    assert result.interactions.weight.tolist() == [5.0, 1.0]
    assert result.report.step("merge duplicates").after == 2


def test_an_order_bought_an_item_if_any_of_its_events_says_so() -> None:
    rows = [("a", "x", 1, "purchase"), ("a", "x", 1, "cart"), ("a", "y", 1, "view"), ("a", "x", 2, "view")]
    result = prepared(tables(rows, "user_id item_id timestamp event_type"), "weights.purchase=2")
    assert result.interactions.weight.tolist() == [3.0, 1.0, 1.0]
    assert result.interactions.purchased is not None
    assert result.interactions.purchased.tolist() == [True, False, False]
    assert result.interactions.goals == ("click", "purchase")


@pytest.mark.parametrize(("kind", "goals"), [("view", ("click",)), ("purchase", ("purchase",))])
def test_a_source_of_one_kind_has_one_goal(kind: str, goals: tuple[str, ...]) -> None:
    rows = [("a", "x", 1, kind), ("a", "y", 2, kind)]
    assert prepared(tables(rows, "user_id item_id timestamp event_type")).interactions.goals == goals


def test_negative_events_leave_the_history_and_take_no_row_along() -> None:
    rows = [("a", "x", 1, "purchase"), ("a", "x", 2, "return"), ("a", "y", 3, "dislike"), ("a", "z", 4, "impression")]
    result = prepared(tables(rows, "user_id item_id timestamp event_type"))
    assert history(result) == {"a": ["x"]}
    assert result.report.step("keep positive events").why == "return: 1; dislike: 1; impression: 1"


def test_a_return_takes_back_the_newest_purchase_before_it_whose_row_stays() -> None:
    rows = [("a", "x", 1, "purchase"), ("a", "x", 2, "purchase"), ("a", "x", 3, "return"), ("a", "x", 4, "purchase"),
            ("a", "y", 5, "view"), ("a", "z", 6, "purchase"), ("b", "z", 7, "return")]  # fmt: skip
    rows = prepared(tables(rows, "user_id item_id timestamp event_type")).interactions
    assert rows.purchased is not None and rows.kept is not None
    assert rows.purchased.tolist() == [True, True, True, False, True]
    assert rows.kept.tolist() == [True, False, True, False, True]
    assert rows.goals == ("click", "purchase")


def test_an_order_kept_an_item_of_which_it_returned_one_of_two() -> None:
    rows = [("a", "x", 1, "purchase"), ("a", "x", 1, "purchase"), ("a", "x", 2, "return"), ("a", "y", 1, "purchase")]
    rows = prepared(tables(rows, "user_id item_id timestamp event_type")).interactions
    assert rows.kept is not None
    assert rows.kept.tolist() == [True, True]


def kept_one_by_one(events: list[tuple[str, str, int, str]]) -> list[bool]:
    """Return what kept_purchases does, by looking for each return at all that was before it."""
    kept = [kind == "purchase" for *_, kind in events]
    order = sorted(range(len(events)), key=lambda place: events[place][2])
    for turn, place in enumerate(order):
        user, item, _, kind = events[place]
        if kind == "return":
            before = [one for one in order[:turn] if events[one][:2] == (user, item) and kept[one]]
            if before:
                kept[before[-1]] = False
    return kept


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 9),
            st.sampled_from(["purchase", "return", "view"]),
        )
    )
)  # fmt: skip
def test_kept_purchases_are_what_looking_back_from_every_return_finds(events: list[tuple[str, str, int, str]]) -> None:
    frame = pd.DataFrame(events, columns=["user_id", "item_id", "timestamp", "event_type"])
    assert kept_purchases(frame).tolist() == kept_one_by_one(events)


def test_weights_come_from_the_type_the_settings_and_the_stars() -> None:
    rows = [("a", "v", 1, "view", None), ("a", "w", 2, "wish", None), ("a", "x", 3, "rating", 4.0),
            ("a", "y", 4, "review", None), ("a", "z", 5, "purchase", 99.0)]  # fmt: skip
    source = tables(rows, "user_id item_id timestamp event_type value")
    result = prepared(source, "weights.view=0.5", "custom_weight=2")
    assert result.interactions.weight.tolist() == [0.5, 2.0, 4.0, 1.0, 5.0]


def test_only_the_newest_events_of_each_user_are_kept() -> None:
    source = tables([("a", str(n), n) for n in range(5)] + [("b", "0", 0)])
    assert history(prepared(source, "max_user_events=2")) == {"a": ["3", "4"], "b": ["0"]}


def test_k_core_removes_until_nothing_more_falls() -> None:
    # Without z, c has one event left; without c, y has one; what holds together is a and b on w and x.
    rows = [("a", "w"), ("a", "x"), ("b", "w"), ("b", "x"), ("a", "y"), ("c", "y"), ("c", "z")]
    source = tables([(user, item, n) for n, (user, item) in enumerate(rows)])
    result = prepared(source, "min_user_events=2", "min_item_events=2")
    assert history(result) == {"a": ["w", "x"], "b": ["w", "x"]}


def test_a_k_core_of_nothing_is_an_error_with_its_remedy() -> None:
    with pytest.raises(DataError, match="lower min_user_events or min_item_events"):
        prepared(tables([("a", "x", 1)]), "min_user_events=2")


def test_a_history_of_negative_events_only_is_an_error_with_its_remedy() -> None:
    with pytest.raises(DataError, match=r"no event is worth more than 0 \(return: 1\)"):
        prepared(tables([("a", "x", 1, "return")], "user_id item_id timestamp event_type"))


@pytest.mark.parametrize(("keep", "n_items"), [("true", 3), ("false", 2)])
def test_listed_items_that_nobody_had_are_kept_on_request(keep: str, n_items: int) -> None:
    source = replace(tables([("a", "x", 1), ("a", "y", 2)]), items=pd.DataFrame({"item_id": ["x", "n"]}))
    assert prepared(source, f"keep_unseen_items={keep}").catalogue.n_items == n_items


def test_a_missing_price_is_taken_from_events_and_normalised() -> None:
    items = pd.DataFrame({"item_id": ["x", "y", "z"], "price": [7.0, None, None], "title": ["X", None, "Z"]})
    source = tables([("a", "x", 1, 9.0), ("a", "y", 2, 1.0), ("a", "y", 3, 3.0)], "user_id item_id timestamp price")
    result = prepared(replace(source, items=items))
    frame = result.catalogue.frame
    assert frame["price"].tolist()[:2] == [7.0, 2.0]
    assert frame["price_z"].mean() == pytest.approx(0, abs=1e-12)
    assert frame["price_z"].std(ddof=0) == pytest.approx(1)
    assert frame["price_z"][1] < frame["price_z"][2] < frame["price_z"][0]  # a missing price is the median
    assert result.report.step("missing values").why == "no title: 1; no price: 1"


def test_products_are_what_names_no_catalogue() -> None:
    items = pd.DataFrame({"item_id": list("abcd"), "catalogue": ["products", " ads ", "", None], "title": "T"})
    result = prepared(replace(tables([("u", "a", 1), ("u", "bought", 2)]), items=items))
    frame = result.catalogue.frame.set_index("item_id")
    assert frame["catalogue"].dropna().to_dict() == {"b": "ads"}
    assert result.report.step("missing values").why == "no title: 1; no price: 5"


def test_attributes_are_what_two_items_to_half_of_them_share() -> None:
    items = pd.DataFrame({
        "item_id": list("abcdef"),
        "title": ["Tea, green", "green TEA no 7", "A mug", "the Mug", "the Cup", None],
        "category_path": ["Shop > Tea > Green", "Shop > Tea", "Shop > Mugs", "Shop > Mugs", "Shop", None],
        "brand": ["Acme", "Acme", "Bolt", None, None, None],
        "tags": [["new"], ["new"], ["new"], ["new"], [], None],
        "attributes": [[1, 2], [1], [], [], [], []],
        "price": [1.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    })  # fmt: skip
    catalogue = prepared(replace(tables([("u", "a", 1)]), items=items)).catalogue
    members = {
        name: catalogue.item_ids[catalogue.attributes[:, [column]].toarray().ravel() == 1].tolist()
        for column, name in enumerate(catalogue.attribute_names)
    }
    assert members == {
        "attribute:1": ["a", "b"], "brand:Acme": ["a", "b"], "price:0": ["a", "b"],
        "category:Shop > Tea": ["a", "b"], "category:Shop > Mugs": ["c", "d"],
        "word:green": ["a", "b"], "word:tea": ["a", "b"], "word:mug": ["c", "d"], "word:the": ["d", "e"],
    }  # fmt: skip


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    before = prepared(tiny_world(order_size=2))
    before.save(tmp_path / "prepared")
    after = Prepared.load(tmp_path / "prepared")
    assert history(after) == history(before)
    assert after.interactions.weight.dtype == np.float32
    assert after.interactions.kept is not None
    np.testing.assert_array_equal(after.interactions.kept, before.interactions.kept)
    assert after.catalogue.attribute_names == before.catalogue.attribute_names
    assert (after.catalogue.attributes.toarray() == before.catalogue.attributes.toarray()).all()
    pd.testing.assert_frame_equal(
        after.catalogue.frame.drop(columns="tags"), before.catalogue.frame.drop(columns="tags")
    )
    assert (after.report, after.has_clock, after.name) == (before.report, True, "tiny_world")


def test_a_half_missing_folder_is_refused(tmp_path: Path) -> None:
    prepared(tiny_world()).save(tmp_path / "prepared")
    (tmp_path / "prepared" / "interactions.npz").unlink()
    with pytest.raises(DataError, match="prepare it again"):
        Prepared.load(tmp_path / "prepared")


EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("vwxyz"), st.integers(0, 9), st.sampled_from(["1", "2", None])),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(rows=EVENTS, least=st.integers(1, 3))
def test_prepared_history_keeps_its_promises(rows: list[tuple], least: int) -> None:
    source = tables(rows, "user_id item_id timestamp order_id")
    try:
        result = prepared(source, f"min_user_events={least}", f"min_item_events={least}")
    except DataError:
        assert least > 1  # a k-core can be empty, a history cannot
        return
    check_promises(result.interactions, least)
    assert {item for items in history(result).values() for item in items} <= {item for _, item, *_ in rows}


def check_promises(rows: Interactions, least: int) -> None:
    assert rows.offsets[0] == 0
    assert rows.offsets[-1] == len(rows) == len(rows.order_idx) == len(rows.weight) == len(rows.timestamp_ms)
    assert (np.diff(rows.offsets) >= least).all()
    assert min(Counter(rows.item_idx.tolist()).values()) >= least
    assert list(rows.user_ids) == sorted(set(rows.user_ids))
    assert (np.diff(rows.order_idx) >= 0).all()
    for user_idx in range(rows.n_users):
        mine = slice(rows.offsets[user_idx], rows.offsets[user_idx + 1])
        assert (np.diff(rows.timestamp_ms[mine]) >= 0).all()
    lines = set(zip(rows.user_idx, rows.order_idx, rows.item_idx, strict=True))
    assert len(lines) == len(rows)
    assert len({(user, order) for user, order, _ in lines}) == len(set(rows.order_idx.tolist()))


def test_archived_events_move_to_this_moment_and_keep_their_distances() -> None:
    moved, plain = (prepared(tiny_world(), *words).interactions for words in (["archived=true"], []))
    assert moved.timestamp_ms.max() == int(NOW.timestamp() * 1e3)
    assert len(np.unique(moved.timestamp_ms - plain.timestamp_ms)) == 1
    np.testing.assert_array_equal(moved.item_idx, plain.item_idx)


def test_a_mere_count_of_events_moves_too_so_that_live_events_can_follow() -> None:
    moved = prepared(tables([("a", "x", 1), ("a", "y", 2), ("b", "x", 1)], has_clock=False)).interactions
    now_ms = int(NOW.timestamp() * 1e3)
    assert moved.timestamp_ms.tolist() == [now_ms - 1, now_ms, now_ms - 1]
