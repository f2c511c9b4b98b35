"""The next items of a list are none that it showed, wherever and however often they are asked for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.api.decisions import asked
from serve.engine import Engine
from serve.trust import continuing
from serve.trust.continuing import continued
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop


@pytest.fixture
def recording(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        yield shop


def following(shop: Shop, slate: dict[str, Any], count: int) -> dict[str, Any]:
    return shop.post(f"/v1/recommendations/{slate['recommendationId']}/next", count=count)


@pytest.mark.parametrize("user", [KNOWN, STRANGER, None])
def test_a_list_goes_on_where_it_ended(recording: Shop, user: str | None) -> None:
    who = {"user": user} if user else {}
    whole = item_ids(recording.slate(count=9, **who))
    first = recording.slate(count=3, **who)
    second = following(recording, first, 3)
    third = following(recording, first, 2)
    fourth = following(recording, second, 1)
    shown = [item_id for slate in (first, second, third, fourth) for item_id in item_ids(slate)]
    assert len(shown) == len(set(shown)) == 9
    if user != KNOWN:  # whose candidates' features say how they compare with what is left
        assert shown == whole
    told = recording.client.get(f"/v1/decisions/{third['recommendationId']}").json()
    assert told["continues"] == first["recommendationId"]
    assert item_ids(told) == item_ids(third)


def test_a_list_comes_to_its_end(recording: Shop) -> None:
    first = recording.slate(user=KNOWN, count=100)
    assert item_ids(following(recording, first, 5)) == []


def test_what_was_asked_holds_for_what_follows(recording: Shop) -> None:
    first = recording.slate(count=2, filter="price < 10", excludeItems=["i0003"], **{"return": ["scores"]})
    shown = {item_id for _ in range(5) for item_id in item_ids(following(recording, first, 2))}
    assert shown.isdisjoint({"i0003", *item_ids(first)})
    assert all(int(item_id[1:]) < 9 for item_id in shown)
    assert "score" in following(recording, recording.slate(count=2, **{"return": ["scores"]}), 1)["items"][0]


def test_a_basket_goes_on_and_a_ranked_list_was_shown_whole(recording: Shop) -> None:
    first = recording.post("/v1/basket", items=["i0003"], count=2)
    assert {"i0003", *item_ids(first)}.isdisjoint(item_ids(following(recording, first, 5)))
    ranked = recording.post("/v1/rank", candidates=["i0003", "i0004"])
    answer = recording.client.post(f"/v1/recommendations/{ranked['recommendationId']}/next", json={})
    assert answer.status_code == 422


def test_replicas_that_continue_one_list_at_once_show_no_item_twice(recording: Shop) -> None:
    first = recording.slate(user=KNOWN, count=2)
    engines = [recording.engine, *(recording.lagging_engine(decision_share=1.0) for _ in range(3))]

    async def one(engine: Engine) -> list[str]:
        ask, slate = await continued(engine, first["recommendationId"], 2, lambda made: asked(made, engine))
        assert ask.recommendation_id.startswith(first["recommendationId"])
        return [engine.item_ids[item_idx] for item_idx in slate.candidates.item_idx.tolist()]

    async def all_at_once() -> list[list[str]]:
        return await asyncio.gather(*(one(engine) for engine in engines))

    shown = [item_ids(first), *recording.portal.call(all_at_once)]
    every = [item_id for slate in shown for item_id in slate]
    assert len(every) == len(set(every)) == 10


@pytest.mark.parametrize("id_", ["rec_0123456789ab0123456789abcdef", "x"])
def test_what_was_never_shown_has_no_next_items(recording: Shop, id_: str) -> None:
    answer = recording.client.post(f"/v1/recommendations/{id_}/next", json={"count": 3})
    assert answer.status_code in (404, 410)


def test_after_half_an_hour_a_list_is_gone(recording: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recording.slate(user=KNOWN, count=2)
    monkeypatch.setattr(continuing, "GOOD_MS", -1)
    answer = recording.client.post(f"/v1/recommendations/{first['recommendationId']}/next", json={"count": 3})
    assert answer.status_code == 410


def test_a_list_has_so_many_pages_and_no_more(recording: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuing, "MOST_PAGES", 2)
    first = recording.slate(user=KNOWN, count=2)
    assert item_ids(following(recording, first, 1))
    answer = recording.client.post(f"/v1/recommendations/{first['recommendationId']}/next", json={"count": 3})
    assert answer.status_code == 422


def test_without_the_store_nothing_is_continued_since_nobody_would_know(recording: Shop) -> None:
    first = recording.slate(user=KNOWN, count=2)
    recording.store.away = True
    answer = recording.client.post(f"/v1/recommendations/{first['recommendationId']}/next", json={"count": 3})
    assert answer.status_code == 503
