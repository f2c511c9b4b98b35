"""What a gateway does with the store's refusals: it sends again to one that restarts, not to a busy one."""

import asyncio
from typing import Any, cast

import numpy as np
import pytest
from ray.exceptions import RayTaskError

from cluster.errors import OverloadedError, UnavailableError
from cluster.requests import Carried, arriving
from serve.state.events import AppendResult, Position
from serve.state.shoppers import Shopper
from serve.store_client import StoreClient
from tests.serve.shop import Shop
from tests.serve.state.state_world import event, run

TAKEN = AppendResult([], [], 1)


class Actor:
    """A store's handle that fails with each of `errors`, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0
        self.carried: set[Carried] = set()
        self.append = self

    async def remote(self, *given: Any) -> AppendResult:
        self.calls += 1
        self.carried.add(given[-1])
        if self.errors:
            raise RayTaskError("append", "", self.errors.pop(0))
        return TAKEN


async def sent(actor: Actor) -> AppendResult:
    client = StoreClient(cast(Any, actor))
    return await client.append([event("e1")], np.zeros((1, 2), np.float32), Position("log/b1/rule/0", 0))


def test_events_are_sent_again_to_a_store_that_is_away() -> None:
    actor = Actor(UnavailableError("closing"), UnavailableError("closing"))
    with arriving([Carried("r1")]):
        assert run(sent(actor)) == TAKEN
    assert actor.calls == 3
    assert actor.carried == {Carried("r1")}


def test_events_are_not_sent_again_to_a_store_that_is_busy() -> None:
    actor = Actor(OverloadedError("busy"))
    with pytest.raises(OverloadedError):
        run(sent(actor))
    assert actor.calls == 1


def test_a_busy_store_is_a_503_that_says_when_to_come_again(shop: Shop) -> None:
    shop.broken.append(OverloadedError("the store is busy"))
    answer = shop.client.post("/v1/events", json={"type": "click", "user": "u", "item": "i0003"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "busy" in answer.json()["detail"]


class Crowd:
    """A store's handle that knows everybody's version by their name, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked, self.users = error, list[list[str]](), self

    async def remote(self, user_ids: list[str], since: Position) -> list[Shopper]:
        self.asked.append(user_ids)
        if self.error is not None:
            raise RayTaskError("users", "", self.error)
        return [Shopper(version=int(user_id)) for user_id in user_ids]


def test_shoppers_asked_for_in_one_turn_are_one_call_and_each_gets_their_own() -> None:
    crowd, since = Crowd(), Position("log/b1/rule/0", 0)

    async def asked() -> list[int]:
        client = StoreClient(cast(Any, crowd))
        given_up = asyncio.create_task(client.user("9", since))
        first = asyncio.gather(*(client.user(user_id, since) for user_id in "132"))
        await asyncio.sleep(0)
        given_up.cancel()
        return [one.version for one in [*await first, await client.user("4", since)]]

    assert run(asked()) == [1, 3, 2, 4]
    assert crowd.asked == [["1", "3", "2"], ["4"]]


def test_all_who_asked_in_one_turn_hear_that_the_store_is_away() -> None:
    crowd, since = Crowd(UnavailableError("closing")), Position("log/b1/rule/0", 0)

    async def asked() -> list[Any]:
        client = StoreClient(cast(Any, crowd))
        return await asyncio.gather(*(client.user(user_id, since) for user_id in "12"), return_exceptions=True)

    assert [type(one) for one in run(asked())] == [UnavailableError, UnavailableError]
    assert crowd.asked == [["1", "2"]]
