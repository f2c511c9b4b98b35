"""Probation: a bundle that went live is watched, and the one before it comes back where the live figure surely fell.

The gate asks about the past; this is what shoppers do then. The two figures are of different events, one before the
change and one after it, so more than twice their errors must lie between them.
"""

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from pydantic import Field

from cluster.config import Config
from serve.state.figures import IN_DOUBT

KEY = "LIVESHELF_KEY"  # the variable of a key that may read, where the server asks for one


class ProbationConfig(Config):
    """How long and how closely a new bundle is watched."""

    watch_hours: float | None = Field(
        None, ge=0, description="of a bundle that went live; until the next refresh, or not at all where there is none"
    )
    watch_events: int = Field(500, ge=2, description="judged events before which nothing is said")
    watch_every_s: float = Field(60, gt=0, description="seconds between two looks")


class Figure(NamedTuple):
    """How well a bundle's live answers foresee events."""

    version: str
    ndcg: float  # mean over events of one right item each, so that no value lies outside 0..1
    effective: float  # events of equal weight that tell as much

    @property
    def variance(self) -> float:
        """An upper bound of the mean's: values in 0..1 vary at most as much as if all were 0 or 1."""
        return self.ndcg * (1 - self.ndcg) / self.effective


def surely_below(now: Figure, before: Figure) -> bool:
    """Tell whether one figure lies further below another than chance explains."""
    return before.ndcg - now.ndcg > IN_DOUBT * (now.variance + before.variance) ** 0.5


def live_figure(url: str) -> Figure | None:
    """Return what a server says of its bundle; None where it does not answer, or has judged nothing."""
    try:
        asked = _asked(f"{url}/v1/evaluations/prequential")
        with urllib.request.urlopen(asked, timeout=5) as answer:  # nosec B310 # http, of our own server
            return figure_of(json.loads(answer.read()))
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _asked(url: str) -> urllib.request.Request:
    key = os.environ.get(KEY)
    return urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})


def figure_of(told: dict[str, Any]) -> Figure | None:
    """Return the figure of an answer of /v1/evaluations/prequential; None before the first judged event."""
    if told["live"] is None:
        return None
    return Figure(told["modelVersion"], told["live"]["ndcg@10"], told["judged"]["effective"])


def fallen(url: str, before: Figure, hours: float, config: ProbationConfig) -> Figure | None:
    """Watch a server that went over to another bundle; return the new one's figure as soon as it surely fell."""
    latest = time.monotonic() + 3_600 * hours
    while time.monotonic() < latest:
        time.sleep(min(config.watch_every_s, max(0.0, latest - time.monotonic())))
        now = live_figure(url)
        if now is None or now.version == before.version or now.effective < config.watch_events:
            continue
        if surely_below(now, before):
            return now
    return None
