"""Reviews: which events hold one, which of them may be read, and what they say together."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import DataError
from train.data.load import load
from train.data.prepare import PrepareConfig, prepare
from train.data.prepared import Prepared
from train.data.schema import Interactions
from train.data.split import SplitConfig, make_split
from train.data.steps.reviews import LONGEST, NEWEST, reviews_of_items

NOW = datetime(2025, 1, 1, tzinfo=UTC)
DAY_S = 86_400
Row = tuple[str, str, str, int, float | None, str | None]  # user, item, type, day, value, text


def prepared(folder: Path, rows: list[Row]) -> Prepared:
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "event_type", "day", "rating", "reviewText"])
    folder.mkdir(parents=True, exist_ok=True)
    events.assign(timestamp=1.7e9 + events.pop("day") * DAY_S).to_csv(folder / "events.csv", index=False)
    return prepare(load(str(folder)), PrepareConfig.parse([]), NOW, folder)


def said(shop: Prepared, train: Interactions | None = None) -> dict[str, tuple[str, float]]:
    """Return the text and the stars of items that have any, read from all rows unless told otherwise."""
    frame = reviews_of_items(shop.reviews, train or shop.interactions, shop.catalogue.n_items)
    frame.index = shop.catalogue.item_ids
    known = frame[frame["reviews"].notna() | frame["stars"].notna()]
    return {str(item): (row["reviews"], row["stars"]) for item, row in known.iterrows()}


def test_texts_are_joined_newest_first_and_stars_are_averaged(tmp_path: Path) -> None:
    shop = prepared(tmp_path, [
        ("u", "mug", "review", 1, 2, "chipped"), ("v", "mug", "review", 3, 5, " 很 好看 "),
        ("w", "mug", "rating", 2, 5, None),
        ("w", "tea", "review", 4, None, "fine"), ("u", "hat", "view", 5, None, "no review"),
    ])  # fmt: skip
    assert said(shop) == {"mug": ("很 好看 . chipped", 4), "tea": ("fine", pytest.approx(np.nan, nan_ok=True))}


def test_a_review_in_the_order_that_bought_the_item_is_kept(tmp_path: Path) -> None:
    shop = prepared(tmp_path, [("u", "mug", "purchase", 1, None, None), ("u", "mug", "review", 1, 1, "leaks")])
    assert len(shop.interactions) == 1
    assert said(shop) == {"mug": ("leaks", 1)}


def test_many_and_long_reviews_are_cut(tmp_path: Path) -> None:
    many: list[Row] = [(f"u{day}", "mug", "review", day, 4, f"say{day}") for day in range(NEWEST + 3)]
    shop = prepared(tmp_path, [*many, ("u", "tea", "review", 1, 4, "x" * 100_000)])
    found = said(shop)
    assert found["mug"][0].split(" . ") == [f"say{day}" for day in range(NEWEST + 2, 2, -1)]
    assert found["tea"][0] == "x" * LONGEST


HELD_OUT: dict[str, list[Row]] = {
    "leave_one_out": [
        ("u", "mug", "review", 1, 5, "early"), ("u", "tea", "purchase", 2, None, None),
        ("u", "mug", "review", 3, 1, "SECRET"), ("v", "tea", "view", 1, None, None),
    ],
    "global_time": [
        ("u", "mug", "review", 0, 5, "early"), ("v", "tea", "purchase", 1, None, None),
        ("v", "mug", "review", 86, 1, "SECRET of validation"), ("u", "mug", "review", 100, 1, "SECRET of the test"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", HELD_OUT)
def test_what_is_held_out_says_nothing(tmp_path: Path, kind: str) -> None:
    shop = prepared(tmp_path, HELD_OUT[kind])
    split = make_split(shop.interactions, SplitConfig.parse([f"split={kind}"]), shop.has_clock)
    assert "SECRET" in said(shop, split.history)["mug"][0]
    assert said(shop, split.train) == {"mug": ("early", 5)}


def test_reviews_survive_saving(tmp_path: Path) -> None:
    shop = prepared(tmp_path / "shop", HELD_OUT["global_time"])
    shop.save(tmp_path / "prepared")
    assert said(Prepared.load(tmp_path / "prepared")) == said(shop)


def test_a_source_without_reviews_says_so_where_they_are_asked_for(tmp_path: Path) -> None:
    shop = prepared(tmp_path, [("u", "mug", "purchase", 1, None, "a note")])
    assert shop.interactions.review_idx is None
    with pytest.raises(DataError, match="no event that is trained on is one"):
        reviews_of_items(shop.reviews, shop.interactions, shop.catalogue.n_items)
