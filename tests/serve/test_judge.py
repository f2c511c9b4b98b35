"""Test, then train: what is asked before an event is learned from, and that nothing of it can harm the event."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.engine import Engine
from serve.judge import MOST, Judge, rank_in
from serve.stages.query import Found, Query
from serve.state.events import UNJUDGED, UNRANKED, Ranks
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop
from tests.world import next_item
from train.models.candidates import Candidates
from train.models.item_state import ItemState
from train.models.shopper import NO_HISTORY, History, history_of
from train.recommender import prospects, ranked


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a judgement take as long as a busy machine needs."""
    monkeypatch.setattr("serve.judge.LONGEST_S", 60)


@pytest.fixture
def judged_shop(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop that judges every event it can."""
    with open_shop(registry, tmp_path / "data", judged_share=1.0) as shop:
        yield shop


def judgements(shop: Shop) -> list[Ranks]:
    """Return the Ranks of every event of the log, in order."""
    return [Ranks(*row) for logged in shop.logged() for row in logged.batch.judged.tolist()]


def batch_rank(shop: Shop, history: History, items: ItemState, item_id: str) -> int:
    """Return an item's place in a list made by the code for batches."""
    [found] = prospects(shop.bundle.model, items, shop.bundle.sources, [history], keep_seen=False)
    [candidates] = ranked(found, items, shop.bundle.ranker)
    return rank_in(candidates, shop.engine.index[item_id])


def test_an_event_is_judged_by_the_answer_of_the_moment_before(judged_shop: Shop) -> None:
    for item in ("i0003", "i0011", "i0019", "i0008"):
        before = item_ids(judged_shop.slate(user="new", count=100))
        judged_shop.click("new", item)
        assert judgements(judged_shop)[-1].live == 1 + before.index(item)


def test_the_shadows_are_the_bundles_items_with_the_history_and_the_bundle_alone(judged_shop: Shop) -> None:
    published, histories = judged_shop.bundle.state, judged_shop.bundle.histories
    known = history_of(histories, histories.index[KNOWN])
    new = [item for item in judged_shop.engine.item_ids if item not in judged_shop.history(KNOWN)]
    for item in new[:4]:
        shopper = judged_shop.engine.view.user(KNOWN)
        history = known if shopper is None else shopper.history
        expected = [batch_rank(judged_shop, one, published, item) for one in (history, known)]
        judged_shop.click(KNOWN, item)
        assert list(judgements(judged_shop)[-1][1:]) == expected


def test_a_strangers_shadows_are_what_the_bundle_found_popular(judged_shop: Shop) -> None:
    least = judged_shop.engine.item_ids[int(np.argmin(judged_shop.bundle.state.recent))]
    for number in range(30):
        judged_shop.click(f"crowd{number}", least)
    first, *_, last = judgements(judged_shop)
    assert first.live == first.still == first.frozen == last.still == last.frozen
    assert last.live < first.live


def test_judging_moves_nothing_of_the_bundle(judged_shop: Shop) -> None:
    state = judged_shop.bundle.state
    before = [array.copy() for array in (state.vectors, state.popularity, state.recent, state.transitions.rows)]
    for item in ("i0003", "i0011", "i0019"):
        judged_shop.click("new", item)
    after = (state.vectors, state.popularity, state.recent, state.transitions.rows)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert not len(state.transitions.added)
    assert (judged_shop.engine.view.items.vectors != state.vectors).any()


def test_an_order_under_way_is_judged_as_one(judged_shop: Shop) -> None:
    judged_shop.click("new", "i0003", orderId="o1")
    before = item_ids(judged_shop.slate(user="new", count=100, context={"orderId": "o1"}))
    judged_shop.click("new", "i0009", orderId="o1")
    assert judgements(judged_shop)[-1].live == 1 + before.index("i0009")


@pytest.mark.parametrize(
    "event",
    [{"type": "impression"}, {"type": "dislike"}, {"type": "search", "item": None}, {"item": "i0003"}],
    ids=["impression", "dislike", "without an item", "seen before, so that no slate may hold it"],
)
def test_what_no_slate_is_meant_to_foresee_is_not_judged(judged_shop: Shop, event: dict[str, Any]) -> None:
    judged_shop.click("new", "i0003")
    body = {"type": "click", "user": "new", "item": "i0004"} | event
    judged_shop.post("/v1/events", **{name: value for name, value in body.items() if value is not None})
    assert judgements(judged_shop)[1:] == [UNJUDGED]


def test_a_few_events_of_a_call_are_judged(judged_shop: Shop) -> None:
    items = judged_shop.engine.item_ids[: MOST + 3]
    judged_shop.post("/v1/events", events=[{"type": "click", "user": "new", "item": item} for item in items])
    assert [ranks != UNJUDGED for ranks in judgements(judged_shop)] == [True] * MOST + [False] * 3


def test_ids_alone_decide_which_events_are_judged(registry: Path, tmp_path: Path) -> None:
    chosen = []
    for folder in ("first", "second"):
        with open_shop(registry, tmp_path / folder, judged_share=0.3) as shop:
            for number in range(60):
                shop.click(f"{folder}{number}", "i0003", id=f"e{number}")
            chosen.append([ranks != UNJUDGED for ranks in judgements(shop)])
    assert chosen[0] == chosen[1]
    assert 8 <= sum(chosen[0]) <= 28


def test_without_a_share_no_event_is_judged(shop: Shop) -> None:
    shop.click("new", "i0003")
    assert judgements(shop) == [UNJUDGED]


@pytest.mark.parametrize("late", [False, True], ids=["fails", "takes too long"])
def test_an_event_counts_whatever_becomes_of_its_judgement(
    judged_shop: Shop, late: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.judge.LONGEST_S", 0.05)

    async def broken(query: Query) -> Found:
        if late:
            await asyncio.sleep(3_600)
        raise RuntimeError("no retriever")

    judged_shop.engine._retrieve = broken
    assert judged_shop.click("new", "i0003") == 1
    assert judgements(judged_shop) == [UNJUDGED]
    assert judged_shop.history("new") == ["i0003"]
    assert "event not judged" in caplog.text


def test_a_shopper_who_was_forgotten_is_a_stranger_to_every_slate(judged_shop: Shop) -> None:
    judged_shop.client.delete(f"/v1/users/{KNOWN}")
    judged_shop.portal.call(judged_shop.store.caught_up)
    judged_shop.portal.call(judged_shop.in_step)
    judged_shop.click(KNOWN, "i0003")
    judged_shop.click(KNOWN, next_item("i0003"))
    stranger = batch_rank(judged_shop, NO_HISTORY, judged_shop.bundle.state, next_item("i0003"))
    assert judgements(judged_shop)[-1].frozen == stranger


def test_equal_scores_are_in_the_order_of_the_slate() -> None:
    scored = Candidates(
        item_idx=np.array([5, 2, 9, 7]), source=np.ones(4, np.uint8), score=np.array([1, 3, 1, 1], np.float32)
    )
    assert [rank_in(scored, item_idx) for item_idx in scored.best(4).item_idx.tolist()] == [1, 2, 3, 4]
    assert rank_in(scored, 1) == UNRANKED


def test_replicas_that_do_not_judge_come_to_the_same_figures(judged_shop: Shop) -> None:
    other: Engine = judged_shop.lagging_engine()
    for item in ("i0003", "i0011", "i0019"):
        judged_shop.click(STRANGER, item)
    other.view.apply([logged.batch for logged in judged_shop.logged()])
    assert other.view.figures.judged == 3
    np.testing.assert_array_equal(other.view.figures.sums, judged_shop.engine.view.figures.sums)


def test_no_more_are_judged_than_a_second_allows_and_none_is_made_up_for(judged_shop: Shop) -> None:
    engine, now = judged_shop.engine, [0.0]
    engine._judge = Judge(
        engine._ranked, engine._vector, judged_shop.bundle.manifest, 1.0, most_a_second=3, clock=lambda: now[0]
    )
    for now[0] in (0.0, 0.0, 0.0, 0.0, 0.4, 0.4, 100.0, 100.0, 100.0, 100.0):
        judged_shop.click("new", f"i{len(judgements(judged_shop)):04d}")
    allowed = [True, True, True, False, True, False, True, True, True, False]
    assert [ranks != UNJUDGED for ranks in judgements(judged_shop)] == allowed
