"""Events that nobody should send: what is no event, and clocks that are wrong."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve.state.store import Store
from tests.serve.shop import KNOWN, Shop, open_shop
from tests.serve.state.state_world import run
from train.registry import Registry

DAY_MS = 86_400_000
FIELDS = (
    "id",
    "type",
    "user",
    "session",
    "item",
    "time",
    "value",
    "quantity",
    "price",
    "orderId",
    "text",
    "properties",
)
IDS = st.sampled_from(["click", "purchase", "u", KNOWN, "i0003", "i0004", "e1", "e2", ""])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | IDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
GOOD = {"type": st.just("click"), "user": st.just("u"), "item": st.just("i0003")}
EVENTS = ANYTHING | st.builds(
    lambda good, odd: good | odd,
    st.fixed_dictionaries({}, optional=GOOD),
    st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=6))
def sends(shop: Shop, events: list[Any]) -> None:
    """Send events of all kinds, and a good one after them."""
    before = shop.click("counter", "i0001")
    answer = shop.client.post("/v1/events", content=json.dumps({"events": events}))
    applied = answer.json()["applied"] if answer.status_code == 200 else 0
    assert answer.status_code in (200, 400)  # 400: NaN, infinities and halves of surrogate pairs are not JSON
    assert shop.click("counter", "i0001") == before + applied + 1


def test_whatever_is_sent_enters_or_is_refused_and_a_replay_comes_to_the_same_state(
    registry: Path, tmp_path: Path
) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        sends(shop)
        live = shop.portal.call(shop.store.state_hash)
        assert live[0] > len(shop.history("counter"))  # some of it entered

    async def replayed() -> tuple[int, str]:
        store = Store.open(Registry(registry).find("current"), tmp_path / "data")
        found = await store.state_hash()
        await store.close()
        return found

    assert run(replayed()) == live


@pytest.mark.parametrize("ahead_ms", [DAY_MS, -DAY_MS])
def test_a_clock_that_is_a_day_off_does_not_change_the_order(shop: Shop, ahead_ms: int) -> None:
    now_ms = int(time.time() * 1e3)
    given = {"i0003": now_ms, "i0004": now_ms + ahead_ms, "i0005": now_ms, "i0006": now_ms + ahead_ms}
    for item, time_ms in given.items():
        version = shop.click("skewed", item, time=time_ms)
    assert shop.history("skewed") == list(given)
    logged = [int(logged.batch.timestamp_ms[0]) for logged in shop.logged()]
    assert logged[::2] == [now_ms, now_ms]
    assert all(
        min(time_ms, now_ms) <= found <= time.time() * 1e3
        for found, time_ms in zip(logged, given.values(), strict=True)
    )
    slate = shop.slate(user="skewed", count=20, minVersion=version)
    assert slate["degraded"] == []
    assert len(slate["items"]) == 20
