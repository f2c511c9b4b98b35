"""The last item of each shopper is gone before anything else reads the data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.comparison.held_out import HeldOut, counts, fingerprint, hide_last
from cluster.errors import DataError
from tests.train.histories import histories_of
from tests.train.small import write_ring
from train.data.prepared import Prepared
from train.data.report import NOTHING
from train.data.source import DataConfig, prepare_data
from train.data.steps.catalogue import build_catalogue


def prepared_of(sequences: list[list[int]], n_items: int = 6) -> Prepared:
    ids = [f"i{item}" for item in range(n_items)]
    catalogue = build_catalogue(pd.DataFrame({"item_id": ids}), np.array(ids), pd.Series(dtype=float), keep_unseen=True)
    return Prepared(
        name="small",
        interactions=histories_of(sequences),
        catalogue=catalogue,
        has_clock=True,
        report=NOTHING,
    )


def test_the_last_item_is_hidden_and_asked_for() -> None:
    held = hide_last(prepared_of([[0, 1, 2], [3], [], [4, 5]]), max_users=10, seed=0)
    rows = held.visible.interactions
    assert [rows.items_of(user).tolist() for user in range(4)] == [[0, 1], [3], [], [4]]
    assert held.user_idx.tolist() == [0, 3]
    assert held.truth.tolist() == [2, 5]
    assert held.item_ids.tolist() == ["i2", "i5"]


def test_who_had_the_item_before_is_counted() -> None:
    held = hide_last(prepared_of([[0, 1, 0], [3, 4]]), max_users=10, seed=0)
    assert held.facts() == {"asked": 2, "had_before": 0.5}


def test_a_sample_of_shoppers_depends_on_the_seed_alone_and_hides_everybodys_item() -> None:
    sequences = [[user % 6, (user + 1) % 6] for user in range(50)]
    draws = [hide_last(prepared_of(sequences), max_users=10, seed=seed) for seed in (0, 0, 1)]
    assert draws[0].user_idx.tolist() == draws[1].user_idx.tolist() != draws[2].user_idx.tolist()
    assert len(draws[0].visible.interactions) == 50


def test_without_a_second_event_nothing_can_be_asked() -> None:
    with pytest.raises(DataError, match="no user of small has two events"):
        hide_last(prepared_of([[0], [1]]), max_users=10, seed=0)


def test_what_is_saved_can_be_read_again_with_and_without_words_about_items(tmp_path: Path) -> None:
    data = write_ring(tmp_path / "ring", n_users=20)
    held = hide_last(prepare_data(DataConfig(data=str(data), rejects=str(tmp_path / "rejects"))), 30, 0)
    held.save(tmp_path)
    again = HeldOut.load(tmp_path)
    assert (again.user_idx.tolist(), again.truth.tolist()) == (held.user_idx.tolist(), held.truth.tolist())
    bare = Prepared.load(tmp_path / "ids_only")
    assert {"title", "brand", "tags"} <= set(held.visible.catalogue.frame) - set(bare.catalogue.frame)
    assert bare.catalogue.item_ids.tolist() == held.visible.catalogue.item_ids.tolist()
    assert bare.catalogue.attributes.nnz == 0 < held.visible.catalogue.attributes.nnz
    np.testing.assert_array_equal(bare.interactions.item_idx, held.visible.interactions.item_idx)


def test_equal_data_have_equal_fingerprints_and_others_do_not() -> None:
    one, other = prepared_of([[0, 1], [2, 3]]), prepared_of([[0, 1], [2, 4]])
    assert fingerprint(one) == fingerprint(prepared_of([[0, 1], [2, 3]])) != fingerprint(other)


def test_items_without_an_event_do_not_count() -> None:
    assert counts(prepared_of([[0, 1], [1]])) == {"users": 2, "items": 2, "events": 3}
