"""An explanation adds up, and says what leaving things out would do."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from serve.trust import explaining
from serve.trust.explaining import KINDS, OF_KIND, kinds_of, shapley, without_each
from tests.serve.shop import KNOWN, STRANGER, Shop, open_shop
from tests.serve.trust.test_replaying import any_ranker
from train.models.features import FEATURES
from train.models.shopper import History


@given(data=st.data(), n=st.integers(1, 4))
def test_a_players_value_is_the_mean_over_all_orders_of_joining(data: st.DataObject, n: int) -> None:
    value = data.draw(stnp.arrays(np.float64, 1 << n, elements=st.floats(-9, 9)))
    expected = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        coalition = 0
        for player in order:
            expected[player] += value[coalition | 1 << player] - value[coalition]
            coalition |= 1 << player
    np.testing.assert_allclose(shapley(value), expected / len(orders), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), same=st.sets(st.sampled_from(range(len(KINDS)))))
def test_kinds_add_up_to_the_score_and_what_is_average_is_worth_nothing(seed: int, same: set[int]) -> None:
    rng = np.random.default_rng(seed)
    ranker, baseline = any_ranker(rng, hidden=8), rng.normal(size=len(FEATURES)).astype(np.float32)
    features = rng.normal(size=len(FEATURES)).astype(np.float32)
    usual = OF_KIND[sorted(same)].any(axis=0)
    features[usual] = baseline[usual]
    parts = kinds_of(features, baseline, ranker)
    gained = ranker.score(features[None])[0] - ranker.score(baseline[None])[0]
    assert parts.sum() == pytest.approx(gained, abs=1e-4)
    assert not parts[sorted(same)].any()


def test_every_feature_is_of_one_kind() -> None:
    np.testing.assert_array_equal(OF_KIND.sum(axis=0), 1)


@given(n=st.integers(0, 25))
def test_each_of_the_newest_rows_is_left_out_once(n: int) -> None:
    nothing = np.zeros(n, np.int64)
    whole, *parts = without_each(History(item_idx=np.arange(n), timestamp_ms=nothing, order_idx=nothing))
    assert len(whole) == n
    gone = [set(range(n)) - set(part.item_idx.tolist()) for part in parts]
    assert gone == [{row} for row in range(max(0, n - explaining.NEWEST), n)]


@pytest.fixture
def recording(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        yield shop


def why(shop: Shop, slate: dict[str, Any]) -> dict[str, Any]:
    answer = shop.client.get(f"/v1/decisions/{slate['recommendationId']}/explanation")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("sent", [True, False])
def test_what_the_ranker_read_explains_its_score(recording: Shop, sent: bool) -> None:
    slate = recording.slate(user=KNOWN, count=6, **{"return": ["scores"]})
    recording.click("u0001", "i0004")
    if sent:
        recording.portal.call(recording.engine.recorder.empty)
    told = why(recording, slate)
    assert told["exact"]
    for item, shown in zip(told["items"], slate["items"], strict=True):
        assert (item["id"], item["rank"], item["score"]) == (shown["id"], shown["rank"], shown["score"])
        assert told["baseline"] + sum(item["ranker"].values()) == pytest.approx(item["score"], abs=1e-3)
        assert item["ranker"]["context"] == pytest.approx(0, abs=1e-6)


def test_a_row_contributes_what_its_product_would_lack_without_it(recording: Shop) -> None:
    bundle, view = recording.bundle, recording.engine.view
    told = why(recording, recording.slate(user=KNOWN, count=3))
    own = recording.history(KNOWN)
    for item in told["items"]:
        assert sorted(row["rowsAgo"] for row in item["history"]) == list(range(len(own)))
        shares = [row["contribution"] for row in item["history"]]
        assert shares == sorted(shares, reverse=True)
        for row in item["history"]:
            at = len(own) - 1 - row["rowsAgo"]
            assert own[at] == row["item"]
            rest = np.array([recording.engine.index[one] for one in own[:at] + own[at + 1 :]])
            [less] = bundle.model.encode_histories([rest])
            product = view.items.vectors[recording.engine.index[item["id"]]] @ less
            assert row["contribution"] == pytest.approx(item["product"] - product, abs=1e-4)


def test_of_a_stranger_there_is_nothing_to_tell(recording: Shop) -> None:
    told = why(recording, recording.slate(user=STRANGER, count=3))
    assert told["baseline"] is None
    assert all((item["ranker"], item["history"], item["product"]) == (None, [], 0) for item in told["items"])


def test_a_history_of_one_row_is_nothing_without_it(recording: Shop) -> None:
    version = recording.click("new", "i0003")
    told = why(recording, recording.slate(user="new", count=3, minVersion=version))
    for item in told["items"]:
        [row] = item["history"]
        assert row["contribution"] == pytest.approx(item["product"])
