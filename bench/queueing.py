"""Gateways under load, by simulation: groups of requests, one thread for each gateway, and too few cores for all."""

from dataclasses import dataclass, field
from statistics import quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a request costs, in seconds of a core."""

    outside_s: float  # in all other processes: balancer, store, client
    group_s: float  # in its gateway, shared by all requests that are answered together
    each_s: float  # in its gateway, of its own

    def of_group(self, n: int) -> float:
        """Return what a gateway needs for n requests together."""
        return self.group_s + n * self.each_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a load comes to."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    together: float  # requests of a group, on average


@dataclass(slots=True)
class _Gateway:
    waiting: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)  # being answered

    @property
    def in_hand(self) -> int:
        return len(self.waiting) + len(self.group)


def simulate(costs: Costs, gateways: int, cores: float, connections: int, requests: int = 20_000) -> Simulated:
    """Return what connections see that ask again as soon as they are answered.

    Whoever computes shares the cores with all others who do (processor sharing). A request is first worked on outside,
    beside all others; then it waits at the gateway with the fewest in hand until that has answered its group.
    """
    places = [_Gateway() for _ in range(gateways)]
    outside = dict.fromkeys(range(connections), costs.outside_s)  # connection → work left
    inside = dict[int, float]()  # gateway → work left on its group
    asked_at, now, answered, groups = [0.0] * connections, 0.0, list[float](), 0
    while len(answered) < requests:
        rate = min(1.0, cores / (len(outside) + len(inside)))
        step = min((*outside.values(), *inside.values()))
        now += step / rate
        arrived = _worked(outside, step)
        done = _worked(inside, step)
        for connection in arrived:
            min(places, key=lambda place: place.in_hand).waiting.append(connection)
        for number in done:
            for connection in places[number].group:
                answered.append(now - asked_at[connection])
                asked_at[connection], outside[connection] = now, costs.outside_s
            places[number].group = []
        for number, place in enumerate(places):
            if place.waiting and not place.group:
                place.group, place.waiting, groups = place.waiting, [], groups + 1
                inside[number] = costs.of_group(len(place.group))
    settled = answered[requests // 10 :]
    cuts = quantiles(settled, n=100)
    return Simulated(
        requests_s=len(answered) / now, p50_ms=1e3 * cuts[49], p99_ms=1e3 * cuts[98], together=len(answered) / groups
    )


def fitted(outside_s: float, alone_s: float, crowded_s: float, cores: float, connections: int) -> Costs:
    """Return the costs of one gateway that needs `alone_s` for a lone request and `crowded_s` for each of a crowd.

    crowded_s: measured with one gateway and so many connections. A request of its own costs the more, the less a crowd
    saves; bisection finds how much.
    """
    low, high = 0.0, min(alone_s, crowded_s)
    for _ in range(30):
        each_s = (low + high) / 2
        costs = Costs(outside_s=outside_s, group_s=alone_s - each_s, each_s=each_s)
        together = simulate(costs, 1, cores, connections, 2_000).together
        low, high = (each_s, high) if costs.group_s / together + each_s < crowded_s else (low, each_s)
    return costs


def _worked(jobs: dict[int, float], step: float) -> list[int]:
    """Take `step` off every job, and return those that are done, which leave."""
    for key in jobs:
        jobs[key] -= step
    done = [key for key, left in jobs.items() if left <= 1e-12]
    for key in done:
        del jobs[key]
    return done
