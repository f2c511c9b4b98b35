"""A decision is kept as it was made, by every replica alike, and never at the shopper's price."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from cluster.errors import UnavailableError
from serve.trust import recorder
from serve.trust.decisions import FEATURED, Decision
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop
from train.models.features import FEATURES

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
FLOATS = stnp.from_dtype(np.dtype(np.float32), allow_nan=True)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """Return any decision."""
    n = draw(st.integers(0, 6))
    f, k = draw(st.integers(0, n)), draw(st.integers(0, n))
    return Decision(
        recommendation_id="rec_1", at_ms=draw(st.integers(0, 2**53)), user_id=draw(TEXT), route="basket",
        sent=draw(st.dictionaries(TEXT, TEXT | st.integers(-9, 9) | st.lists(TEXT))), count=k, scenario=draw(TEXT),
        scenario_version=3, config={"diversity": 0.5}, model_version=draw(TEXT), state_version=7, degraded=("stale",),
        fallback="none", n_ranked=n, history=tuple(draw(st.lists(TEXT, max_size=4))), n_history=9,
        item_ids=tuple(draw(st.lists(TEXT, min_size=n, max_size=n))), source=np.arange(n, dtype=np.uint8),
        score=draw(stnp.arrays(np.float32, n, elements=FLOATS)), shown=np.arange(k, dtype=np.int32),
        propensity=draw(stnp.arrays(np.float64, k)), place=np.arange(f, dtype=np.int32),
        features=draw(stnp.arrays(np.float32, (f, len(FEATURES)), elements=FLOATS)),
        traits=draw(stnp.arrays(np.float32, 3, elements=FLOATS)), rules=(("stock", 3), (draw(TEXT), 1)),
        pins=((0, 1, [3, 4]), (4, 2, [])), quotas=((2, [0, 1]),),
    )  # fmt: skip


@given(one=decisions())
def test_a_decision_is_read_as_it_was_written(one: Decision) -> None:
    again = Decision.read(one.record())
    for name in Decision.__slots__:
        was, found = getattr(one, name), getattr(again, name)
        if isinstance(was, np.ndarray):
            assert (found.tobytes(), found.shape, found.dtype) == (was.tobytes(), was.shape, was.dtype)
        else:
            assert found == was


@pytest.fixture
def recording(registry: Path, tmp_path: Path) -> Any:
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        yield shop


def decision(shop: Shop, slate: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a slate's decision."""
    answer = shop.client.get(f"/v1/decisions/{slate['recommendationId']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def settled(shop: Shop) -> None:
    """Return when the store has every decision."""
    shop.portal.call(shop.engine.recorder.empty)


@pytest.mark.parametrize("user", [KNOWN, STRANGER, None])
@pytest.mark.parametrize("sent", [True, False])
def test_a_slate_is_told_with_what_it_was_made_of(recording: Shop, user: str | None, sent: bool) -> None:
    asked = {"count": 5, "filter": "price > 3", "traits": {"club": True}, "return": ["scores"]}
    slate = recording.slate(**asked, **({"user": user} if user else {}))
    if sent:
        settled(recording)
    told = decision(recording, slate)
    assert told["user"] == user
    assert told["request"] == asked
    assert told["items"] == [
        {name: item[name] for name in ("id", "rank", "propensity", "score", "sources")} for item in slate["items"]
    ]
    for name in ("modelVersion", "stateVersion", "degraded", "fallback", "policy"):
        assert told[name] == slate[name]
    assert (told["route"], told["continues"]) == ("recommendations", None)
    assert [item["id"] for item in told["candidates"]][:5] == item_ids(slate)
    assert told["history"] == (recording.history(user) if user else [])
    assert told["historyLength"] == len(told["history"])
    assert told["features"] == list(FEATURES)
    read = [item["features"] for item in told["candidates"]]
    assert all(read) if user == KNOWN else not any(read)


def test_what_the_ranker_read_is_kept_of_the_best(recording: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    slate = recording.slate(user=KNOWN, count=20)
    read = [item["features"] for item in decision(recording, slate)["candidates"]]
    assert len(read) <= FEATURED
    recency = FEATURES.index("recent_log")
    recent = recording.engine.view.items
    for item, row in zip(item_ids(slate), read, strict=False):
        share = recent.recent[recording.engine.index[item]] / recent.recent_total
        assert row[recency] == pytest.approx(np.log(share + 1e-7), rel=1e-4)


@pytest.mark.parametrize(
    ("path", "asked"), [("basket", {"items": ["i0003"]}), ("rank", {"candidates": ["i0003", "i0004"]})]
)
def test_other_lists_of_a_shopper_are_told_too(recording: Shop, path: str, asked: dict[str, Any]) -> None:
    told = decision(recording, recording.post(f"/v1/{path}", user=KNOWN, **asked))
    assert (told["route"], told["request"]) == (path, asked)


def test_another_replica_tells_it_once_it_is_sent(recording: Shop) -> None:
    slate = recording.slate(user=KNOWN)
    other = recording.lagging_engine(decision_share=1.0)
    found = recording.portal.call(other.recorder.find, slate["recommendationId"])
    assert found.shown_ids == item_ids(slate)


@pytest.mark.parametrize("id_", ["rec_0123456789ab0123456789abcdef", "rec_", "x", "rec_0123456789ab0123456789abcdef-1"])
def test_what_was_never_decided_is_not_found(recording: Shop, id_: str) -> None:
    answer = recording.client.get(f"/v1/decisions/{id_}")
    assert answer.status_code == 404
    assert "is no recommendationId" in answer.json()["detail"] or "is not known" in answer.json()["detail"]


def test_what_is_not_recorded_says_so(shop: Shop) -> None:
    answer = shop.client.get(f"/v1/decisions/{shop.slate(user=KNOWN)['recommendationId']}")
    assert answer.status_code == 404
    assert "decision_share=0 of them are" in answer.json()["detail"]


def test_without_the_store_slates_go_on_and_the_oldest_decisions_are_dropped_and_counted(
    recording: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MOST", 2)
    recording.store.away = True
    slates = [recording.slate() for _ in range(4)]
    assert recording.engine.recorder.n_dropped == 2
    assert decision(recording, slates[-1])["recommendationId"] == slates[-1]["recommendationId"]
    with pytest.raises(UnavailableError):
        settled(recording)
    assert recording.client.get(f"/v1/decisions/{slates[0]['recommendationId']}").status_code == 503
    recording.store.away = False
    settled(recording)
    answer = recording.client.get(f"/v1/decisions/{slates[0]['recommendationId']}")
    assert answer.status_code == 404
    assert "as 2 of this replica were" in answer.json()["detail"]
    assert decision(recording, slates[2])["items"]


def test_what_waits_is_bounded_in_bytes_too_and_the_newest_always_waits(
    recording: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording.store.away = True
    first = recording.engine.recorder
    recording.slate(user=KNOWN)
    monkeypatch.setattr(recorder, "MOST_BYTES", first._n_bytes + 1)
    newest = recording.slate(user=KNOWN)["recommendationId"]
    assert list(first._waiting) == [newest]
    assert (first.n_dropped, first._n_bytes) == (1, first._waiting[newest].n_bytes)
    recording.store.away = False
    settled(recording)
    assert first._n_bytes == 0


def test_a_share_of_them_is_recorded_and_every_replica_knows_which(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path, decision_share=0.5) as shop:
        asked = [shop.slate()["recommendationId"] for _ in range(40)]
        statuses = [shop.client.get(f"/v1/decisions/{one}").status_code for one in asked]
        assert {200, 404} == set(statuses)
        other = shop.lagging_engine(decision_share=0.5)
        assert [other.recorder._wants(one) for one in asked] == [status == 200 for status in statuses]
