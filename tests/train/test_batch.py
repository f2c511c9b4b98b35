"""Lists for many users: complete, in order, without what was seen, for strangers too."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import DataError
from tests.train.conftest import Small
from tests.train.small import small_recommend, write_ring
from tests.world import next_item
from train.batch import recommend

N_ITEMS = 24


def listed(small: Small, tmp_path: Path, *words: str, data: Path | None = None) -> pd.DataFrame:
    config = small_recommend(data or small.data, small.folder, f"out={tmp_path / 'recs.parquet'}", *words)
    frame = recommend(config)
    pd.testing.assert_frame_equal(pd.read_parquet(config.out), frame, check_dtype=False)
    return frame


def histories(data: Path) -> dict[str, list[str]]:
    events = pd.read_parquet(data / "events.parquet").sort_values("timestamp")
    return {str(user_id): items for user_id, items in events.groupby("user_id")["item_id"].agg(list).items()}


def test_every_user_gets_a_list_by_falling_score_without_what_they_had(small: Small, tmp_path: Path) -> None:
    frame = listed(small, tmp_path, "k=10")
    had = histories(small.data)
    assert list(frame.columns) == ["user_id", "rank", "item_id", "score"]
    assert set(frame["user_id"]) == set(had)
    for user_id, rows in frame.groupby("user_id"):
        assert rows["rank"].tolist() == list(range(1, 11))
        assert (np.diff(rows["score"]) <= 0).all()
        assert rows["item_id"].is_unique
        assert not set(rows["item_id"]) & set(had[str(user_id)])


def test_the_one_item_left_on_the_ring_comes_first_for_most(small: Small, tmp_path: Path) -> None:
    first = listed(small, tmp_path, "k=1").set_index("user_id")["item_id"]
    right = [first[user_id] == next_item(items[-1]) for user_id, items in histories(small.data).items()]
    assert np.mean(right) > 0.5 > 5 / N_ITEMS


def test_seen_items_may_come_back_when_asked(small: Small, tmp_path: Path) -> None:
    frame, had = listed(small, tmp_path, "k=24", "keep_seen=true"), histories(small.data)
    assert frame.groupby("user_id").size().tolist() == [N_ITEMS] * len(had)


@pytest.mark.parametrize(("share", "n_new"), [(0.3, 3), (1, 10)])
def test_places_are_kept_for_new_items_when_asked(small: Small, tmp_path: Path, share: float, n_new: int) -> None:
    plain = listed(small, tmp_path, "k=10", "keep_seen=true")
    frame, had = listed(small, tmp_path, "k=10", "keep_seen=true", f"new_share={share}"), histories(small.data)
    for (user_id, rows), (_, before) in zip(frame.groupby("user_id"), plain.groupby("user_id"), strict=True):
        new, were = (set(one["item_id"]) - set(had[str(user_id)]) for one in (rows, before))
        assert len(new) == max(n_new, len(were))
        assert were <= new
        assert (np.diff(rows["score"]) <= 0).all()


def test_a_list_is_as_long_as_there_are_items_left(small: Small, tmp_path: Path) -> None:
    assert listed(small, tmp_path, "k=100").groupby("user_id").size().unique().tolist() == [N_ITEMS - 5]


def test_a_file_names_the_users_and_a_stranger_gets_what_is_popular(small: Small, tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("Customer ID\nu0003\nnobody\nu0001\nu0003\n")
    frame = listed(small, tmp_path, f"users={users}", "k=5")
    assert frame["user_id"].unique().tolist() == ["u0003", "nobody", "u0001"]
    state, items = small.published.bundle.state, small.published.bundle.items["item_id"].to_numpy()
    popular = items[np.argsort(-state.recent, kind="stable")[:5]]
    assert frame.loc[frame["user_id"] == "nobody", "item_id"].tolist() == popular.tolist()


def test_events_of_unknown_items_are_left_out_and_counted(
    small: Small, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = pd.read_parquet(small.data / "events.parquet")
    new = events.iloc[:3].assign(item_id="brand-new", order_id=["n1", "n2", "n3"])
    data = tmp_path / "more"
    data.mkdir()
    pd.concat([events, new]).to_parquet(data / "events.parquet")
    with caplog.at_level(logging.WARNING):
        frame = listed(small, tmp_path, "k=5", data=data)
    assert "left out rows=3 of items unknown" in caplog.text
    pd.testing.assert_frame_equal(frame, listed(small, tmp_path, "k=5"))


def test_a_shop_without_a_single_known_item_is_refused(small: Small, tmp_path: Path) -> None:
    data = write_ring(tmp_path / "other", n_users=5)
    events = pd.read_parquet(data / "events.parquet")
    events.assign(item_id="x" + events["item_id"]).to_parquet(data / "events.parquet")
    (data / "items.parquet").unlink()
    with pytest.raises(DataError, match="none of the .* items in other is in bundle"):
        listed(small, tmp_path, data=data)
    assert not (tmp_path / "recs.parquet").exists()


@pytest.mark.parametrize(("content", "why"), [("name\nu1\n", "lacks the column user_id"), ("", "is empty")])
def test_a_file_that_names_no_users_is_refused(small: Small, tmp_path: Path, content: str, why: str) -> None:
    users = tmp_path / "users.csv"
    users.write_text(content)
    with pytest.raises(DataError, match=why):
        listed(small, tmp_path, f"users={users}")
