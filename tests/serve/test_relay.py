"""Stages that are away or late: whoever asked does their work, and says so."""

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from cluster.errors import UnavailableError, UnprocessableError
from serve.stages.fused import fused
from serve.stages.index.exact import FlatIndex
from serve.stages.relay import AGAIN_S, Relay, relayed
from tests.serve.shop import KNOWN, Shop
from tests.serve.state.state_world import run

LATE_S = 0.01


class Room:
    """A stage elsewhere, and how often it was asked."""

    def __init__(self) -> None:
        self.asked, self.hangs = 0, False
        self.error: Exception | None = None

    async def ask(self, number: int) -> str:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return f"there {number}"


async def here(number: int) -> str:
    return f"here {number}"


def relay_of(room: Room, clock: Callable[[], float] = time.monotonic) -> Relay[[int], str]:
    return Relay("room", room.ask, here, LATE_S, (), lambda answer: f"{answer}, marked", clock)


def test_a_stage_that_answers_in_time_is_left_to_it() -> None:
    assert run(relay_of(Room())(7)) == "there 7"


@pytest.mark.parametrize("trouble", ["late", "away"])
def test_a_stage_in_trouble_is_stood_in_for_and_asked_again_after_a_while(trouble: str) -> None:
    now, room = [1_000.0], Room()
    asked = relay_of(room, lambda: now[0])
    room.hangs, room.error = trouble == "late", UnavailableError("gone") if trouble == "away" else None
    assert [run(asked(number)) for number in range(3)] == [f"here {number}, marked" for number in range(3)]
    assert room.asked == 1
    room.hangs, room.error = False, None
    assert run(asked(3)) == "here 3, marked"
    now[0] += AGAIN_S
    assert run(asked(4)) == "there 4"
    assert room.asked == 2


def test_one_request_finds_out_whether_a_stage_in_trouble_is_back_and_no_other_waits() -> None:
    now, room = [1_000.0], Room()
    asked, room.hangs = relay_of(room, lambda: now[0]), True
    run(asked(0))
    now[0] += AGAIN_S

    async def several() -> list[str]:
        return list(await asyncio.gather(*(asked(number) for number in range(1, 5))))

    assert run(several()) == [f"here {number}, marked" for number in range(1, 5)]
    assert room.asked == 2


def test_a_stage_that_refuses_what_is_asked_is_not_in_trouble() -> None:
    room = Room()
    asked, room.error = relay_of(room), UnprocessableError("no such column")
    for _ in range(2):
        with pytest.raises(UnprocessableError, match="no such column"):
            run(asked(1))
    assert room.asked == 2


async def nobody(*_: object) -> None:
    raise UnavailableError("nobody is there")


@pytest.mark.parametrize("away", ["retrieve", "rank", "both"])
def test_a_gateway_answers_as_its_stages_would_and_says_which_were_away(shop: Shop, away: str) -> None:
    gateway = shop.lagging_engine()
    gateway.view.apply([logged.batch for logged in shop.logged()])
    own = fused(shop.bundle, gateway.view, FlatIndex(gateway.view.items))
    there = own._replace(**{name: nobody for name in ("retrieve", "rank") if away in (name, "both")})
    gateway._retrieve, gateway._rank, *_ = relayed(there[:5], own, (), limit_s=10)
    wanted, found = (shop.portal.call(engine.recommend, shop.ask(KNOWN, 0)) for engine in (shop.engine, gateway))
    np.testing.assert_array_equal(found.candidates.item_idx, wanted.candidates.item_idx)
    np.testing.assert_array_equal(found.candidates.score, wanted.candidates.score)
    names = {"retrieve": ("retrieval",), "rank": ("ranking",), "both": ("retrieval", "ranking")}
    assert (wanted.degraded, found.degraded) == ((), names[away])
