"""The simulation of gateways agrees with what can be worked out by hand."""

import pytest

from bench.queueing import Costs, fitted, simulate


def test_one_connection_sees_the_work_one_step_after_the_other() -> None:
    found = simulate(Costs(outside_s=0.001, group_s=0.002, each_s=0.001), 1, 2, 1, 500)
    assert found.requests_s == pytest.approx(250, rel=0.01)
    assert (found.p50_ms, found.p99_ms) == pytest.approx((4, 4))
    assert found.together == 1


def test_no_more_is_done_than_cores_can() -> None:
    costs = Costs(outside_s=0.001, group_s=0, each_s=0.003)
    assert simulate(costs, 4, 2, 64).requests_s == pytest.approx(2 / 0.004, rel=0.02)
    assert simulate(costs, 8, 8, 64).requests_s == pytest.approx(8 / 0.004, rel=0.1)


def test_a_second_gateway_doubles_what_one_thread_limits() -> None:
    costs = Costs(outside_s=1e-6, group_s=0, each_s=0.002)
    one, two = (simulate(costs, gateways, 8, 32).requests_s for gateways in (1, 2))
    assert one == pytest.approx(500, rel=0.01)
    assert two == pytest.approx(2 * one, rel=0.02)


def test_a_crowd_shares_what_a_group_costs() -> None:
    costs = Costs(outside_s=1e-6, group_s=0.003, each_s=0.001)
    alone, crowd = simulate(costs, 1, 8, 1), simulate(costs, 1, 8, 32)
    assert crowd.together > 10
    assert crowd.requests_s > 3 * alone.requests_s


@pytest.mark.parametrize("each_s", [0.0005, 0.001, 0.0025])
def test_costs_are_found_again_from_what_they_come_to(each_s: float) -> None:
    costs = Costs(outside_s=0.0004, group_s=0.003 - each_s, each_s=each_s)
    together = simulate(costs, 1, 2, 32, 2_000).together
    again = fitted(0.0004, 0.003, costs.group_s / together + each_s, 2, 32)
    assert again.each_s == pytest.approx(each_s, rel=0.02)
