"""The arithmetic of capacity, by hand."""

import math

import pytest

from bench.capacity import Demand, Measured, needs

COST = Measured(
    inside_s=0.002, outside_s=0.001, search_s=0.0, event_s=0.001, apply_s=0.0001, store_events_s=10_000,
    gateway_gib=(0.5, 1e-6), store_gib=(0.25, 1e-6), shopper_gib=1e-7,
)  # fmt: skip


@pytest.fixture(autouse=True)
def instant_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let searches cost nothing, which elsewhere are read from what was measured."""
    monkeypatch.setattr("bench.capacity._search_s", lambda _: 0.0)


def test_slates_share_what_following_leaves() -> None:
    found = needs(Demand.parse(["requests_s=500", "events_s=2000", "busy=0.5", "node_cores=4"]), COST)
    assert found["gateways"] == math.ceil((500 * 0.002 + 2_000 * 0.001) / (0.5 - 0.2)) == 10
    assert found["cores"] == 10 + 500 * 0.001 / 0.5 + found["stores"]
    assert found["nodes"] == 3


def test_no_number_of_gateways_follows_more_events_than_one_can() -> None:
    assert needs(Demand.parse(["events_s=5000", "busy=0.5"]), COST)["gateways"] == math.inf
    assert needs(Demand.parse(["events_s=4900", "busy=0.5"]), COST)["gateways"] < math.inf


def test_memory_is_a_line_over_items() -> None:
    found = needs(Demand.parse(["items=2000000", "users=10000000", "events_s=0"]), COST)
    assert (found["gateway GiB"], found["store GiB"]) == (2.5, 3.2)
