"""How often one caller may ask: token buckets, as many as callers were seen of late and no more.

Each gateway counts for itself, for all that it is asked, whichever proxy or balancer is before it: requests are spread
evenly, so that each has its share of a rate. A burst is each gateway's own, for no spread is perfect.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, Self

import numpy as np
from pydantic import Field, field_validator

from cluster.config import Config, listed
from cluster.errors import TooManyError

Whose = Literal["key", "shopper", "address"]

MOST = 50_000  # callers of a kind that a gateway remembers, about 10 MB of them
SLACK_S = 1e-6  # what clocks round away


class RatesConfig(Config):
    """How often one caller may ask a second, of all gateways together; empty: as often as it likes."""

    key: float | None = Field(None, gt=0, le=1e6, description="requests with the keys of one client")
    shopper: float | None = Field(None, gt=0, le=1e6, description="lists and events of one shopper")
    address: float | None = Field(None, gt=0, le=1e6, description="requests from one address, or one /64 of IPv6")
    burst_s: float = Field(10.0, ge=0, le=86_400, description="who was quiet may ask at once what it may in so long")
    proxies: str = Field("", description="with commas: networks of your own proxies, whose X-Forwarded-For is believed")

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        _networks(proxies)
        return proxies

    def networks(self) -> list[IPv4Network | IPv6Network]:
        """Return where proxies are that say for whom they ask."""
        return _networks(self.proxies)

    def given(self) -> dict[Whose, float]:
        """Return the rates that there are."""
        rates: dict[Whose, float | None] = {"key": self.key, "shopper": self.shopper, "address": self.address}
        return {whose: rate for whose, rate in rates.items() if rate is not None}

    def among(self, gateways: int) -> Self:
        """Return what one of so many gateways holds to: its share of each rate, and the whole burst."""
        shares = {whose: rate / gateways for whose, rate in self.given().items()}
        return self.model_copy(update=shares | {"burst_s": self.burst_s * gateways}) if shares else self


class Buckets:
    """What each of many callers may still take: tokens that come at a rate, up to a burst (GCRA, ITU-T I.371).

    All that is kept of a caller is when its bucket is full again, and only of those seen last: one forgotten is full.
    """

    def __init__(self, rate: float, burst_s: float, most: int = MOST) -> None:
        """Begin with full buckets; rate: tokens a second; burst_s: seconds in which an empty one fills."""
        self._each_s, self._most = 1 / rate, most
        self._burst_s = max(burst_s, self._each_s)  # one token at least, or nobody ever had any
        self._full_at = OrderedDict[str, float]()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: str, now: float) -> float:
        """Take a token of a caller's and return 0; or take none, and return in how many seconds there is one."""
        full_at = max(self._full_at.get(name, now), now)
        wait_s = full_at + self._each_s - self._burst_s - now
        is_there = wait_s <= SLACK_S
        self._full_at[name] = full_at + self._each_s if is_there else full_at
        self._full_at.move_to_end(name)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return 0.0 if is_there else wait_s


class Limits:
    """What every caller may still ask of this gateway."""

    def __init__(
        self, rates: RatesConfig, refused: Callable[[Whose], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic, rng: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        """Begin to count; rates: of this gateway alone; refused: told of every refusal; clock: seconds, never back."""
        self._buckets = {whose: Buckets(rate, rates.burst_s) for whose, rate in rates.given().items()}
        self._refused, self._clock, self._rng = refused, clock, rng or np.random.default_rng()
        self.proxies = rates.networks()

    def holds(self, whose: Whose) -> bool:
        """Tell whether such callers are counted at all."""
        return whose in self._buckets

    def take(self, whose: Whose, name: str) -> None:
        """Count one for a caller, or raise TooManyError; those refused together are told to come back apart."""
        buckets = self._buckets.get(whose)
        if buckets is None or not (wait_s := buckets.take(name, self._clock())):
            return
        self._refused(whose)
        later_s = math.ceil(wait_s * self._rng.uniform(1, 2))
        raise TooManyError(f"this {whose} asks more often than it may; send the same again in {later_s} s", later_s)


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(one) for one in listed(text)]
