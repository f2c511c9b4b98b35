"""A decision made again is the same to the bit, whatever happened since."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.state.decision_log import new_id
from serve.trust.decisions import Decision
from serve.trust.replaying import scores_again
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop
from tests.serve.trust.test_decisions import decisions
from train.models.features import FEATURES
from train.models.ranker import Ranker


def any_ranker(rng: np.random.Generator, hidden: int) -> Ranker:
    """Return a ranker with random weights."""
    n = len(FEATURES)
    arrays = {
        "mean": rng.normal(size=n), "deviation": rng.uniform(0.1, 3, n), "low": np.full(n, -2), "high": np.full(n, 2),
        "inner": rng.normal(size=(n, hidden)), "inner_bias": rng.normal(size=hidden), "outer": rng.normal(size=hidden),
    }  # fmt: skip
    return Ranker(**{name: array.astype(np.float32) for name, array in arrays.items()})


@settings(max_examples=200, deadline=None)
@given(one=decisions(), seed=st.integers(0, 2**32), n=st.integers(1, 900), hidden=st.integers(1, 64), data=st.data())
def test_scores_follow_from_a_few_rows_as_they_did_from_all(
    one: Decision, seed: int, n: int, hidden: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    ranker, columns = any_ranker(rng, hidden), rng.normal(size=(len(FEATURES), n)).astype(np.float32)
    score = ranker.score(columns.T)
    kept = data.draw(st.integers(0, n))
    place = rng.permutation(n)[:kept]
    read = data.draw(st.integers(0, kept))
    made = replace(
        one, n_ranked=n, score=score[place], place=place[:read].astype(np.int32), features=columns.T[place[:read]]
    )  # fmt: skip
    assert scores_again(made, ranker).tobytes() == score[place].tobytes()


@pytest.fixture
def recording(repeating_registry: Path, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(repeating_registry, tmp_path / "data", decision_share=1.0) as shop:
        yield shop


def replay(shop: Shop, slate: dict[str, Any]) -> dict[str, Any]:
    return shop.post(f"/v1/decisions/{slate['recommendationId']}/replay")


SCENARIOS = {
    "capped": {"maxPer": {"brand": 1, "category": 2}, "exploration": {"method": "softmax", "share": 0.8}},
    "doubtful": {"diversity": 0.2, "exploration": {"method": "thompson", "share": 0.9}},
    "worth": {"objective": "novelty + known(price, 0) / 9", "exploration": {"method": "epsilon", "share": 0.5}},
}
ASKED = [
    ("recommendations", {"user": KNOWN, "count": 7}),
    ("recommendations", {"user": STRANGER}),
    ("recommendations", {"user": KNOWN, "minScore": 0.0}),
    ("recommendations", {"user": KNOWN, "diversity": 0.6}),
    ("recommendations", {"user": STRANGER, "diversity": 0.3, "traits": {"club": True}}),
    ("basket", {"user": KNOWN, "items": ["i0003"], "diversity": 0.9, "seed": 7}),
    ("recommendations", {"user": KNOWN, "scenario": "capped", "count": 9}),
    ("recommendations", {"user": STRANGER, "scenario": "capped", "diversity": 0.5}),
    ("recommendations", {"user": KNOWN, "scenario": "doubtful"}),
    ("recommendations", {"user": KNOWN, "scenario": "worth"}),
    ("recommendations", {"user": KNOWN, "scenario": "worth", "diversity": 0.5, "seed": 3, "minScore": 0}),
    ("rank", {"user": KNOWN, "candidates": [f"i{n:04d}" for n in range(20)]}),
]


@pytest.mark.parametrize(("path", "asked"), ASKED)
@pytest.mark.parametrize("sent", [True, False])
def test_a_list_comes_out_again_after_the_state_has_moved(
    recording: Shop, path: str, asked: dict[str, Any], sent: bool
) -> None:
    for name, content in SCENARIOS.items():
        assert recording.client.put(f"/v1/scenarios/{name}", json=content).status_code == 200
    slate = recording.post(f"/v1/{path}", **asked, **{"return": ["scores"]})
    for number in range(12):
        recording.click(f"u{number % 4:04d}", f"i{number:04d}")
    moved = recording.post(f"/v1/{path}", **asked, **{"return": ["scores"]})
    assert [item["score"] for item in moved["items"]] != [item["score"] for item in slate["items"]]
    if sent:
        recording.portal.call(recording.engine.recorder.empty)
    again = replay(recording, slate)
    assert again["identical"]
    assert item_ids(again) == item_ids(slate)
    for name in ("score", "propensity", "rank"):
        assert [item[name] for item in again["items"]] == [item[name] for item in slate["items"]]


RULES: list[list[dict[str, Any]]] = [
    [{"action": "boost", "filter": "brand = 'Acme'", "factor": 3}],
    [{"action": "bury", "filter": "brand = 'Acme'", "factor": 3}, {"action": "cap", "filter": "price > 5", "limit": 2}],
    [{"action": "pin", "filter": "brand = 'Bolt'", "position": 3, "limit": 2}],
    [{"action": "quota", "filter": "brand = 'Cove'", "share": 0.5}, {"action": "filter", "filter": "price > 3"}],
]


@pytest.mark.parametrize(("path", "asked"), ASKED)
@pytest.mark.parametrize("rules", RULES, ids=lambda rules: "-".join(rule["action"] for rule in rules))
def test_a_list_comes_out_again_after_its_rules_have_gone(
    recording: Shop, path: str, asked: dict[str, Any], rules: list[dict[str, Any]]
) -> None:
    for name, content in SCENARIOS.items():
        recording.client.put(f"/v1/scenarios/{name}", json=content)
    usual = recording.post(f"/v1/{path}", **asked)
    for number, rule in enumerate(rules):
        assert recording.client.put(f"/v1/rules/r{number}", json=rule).status_code == 200
    slate = recording.post(f"/v1/{path}", **asked, **{"return": ["scores"]})
    told = recording.client.get(f"/v1/decisions/{slate['recommendationId']}").json()
    assert told["rules"] == [{"id": f"r{number}", "version": 1} for number in range(len(rules))]
    for number in range(len(rules)):
        recording.client.delete(f"/v1/rules/r{number}")
    recording.portal.call(recording.engine.recorder.empty)
    again = replay(recording, slate)
    assert again["identical"]
    for name in ("id", "score", "propensity", "rank"):
        assert [item[name] for item in again["items"]] == [item[name] for item in slate["items"]]
    assert replay(recording, usual)["identical"]


@pytest.fixture
def held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let decisions wait, so that a test finds them before the store has them."""
    monkeypatch.setattr("serve.trust.recorder.GATHER_S", 3_600)


@pytest.mark.usefixtures("held_back")
def test_what_was_tampered_with_is_not_identical(recording: Shop) -> None:
    slate = recording.slate(user=KNOWN, count=5)
    waiting = recording.engine.recorder._waiting
    made = waiting[slate["recommendationId"]]
    features = made.features.copy()
    features[0] += 1
    waiting[slate["recommendationId"]] = replace(made, features=features)
    assert not replay(recording, slate)["identical"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"model_version": "other"}, "start the server with bundle=other"), ({"feature_names": ("x",)}, "other features")],
)
@pytest.mark.usefixtures("held_back")
def test_what_this_server_cannot_make_again_is_a_conflict(recording: Shop, changed: dict[str, Any], said: str) -> None:
    slate = recording.slate(user=KNOWN)
    waiting = recording.engine.recorder._waiting
    waiting[slate["recommendationId"]] = replace(waiting[slate["recommendationId"]], **changed)
    answer = recording.client.post(f"/v1/decisions/{slate['recommendationId']}/replay")
    assert answer.status_code == 409
    assert said in answer.json()["detail"]


def test_lists_that_were_made_together_come_out_again_one_by_one(recording: Shop) -> None:
    engine = recording.engine
    asks = [
        replace(recording.ask(f"u{number:04d}", 0), recommendation_id=new_id(number)) for number in range(9)
    ]  # fmt: skip

    async def all_at_once() -> None:
        await asyncio.gather(*(engine.recommend(ask) for ask in asks))

    recording.portal.call(all_at_once)
    for ask in asks:
        assert engine.replay(engine.recorder._waiting[ask.recommendation_id]).identical
