"""Which users and which items a metric is about: cold, light and heavy shoppers; head, torso and tail items."""

import numpy as np
from pydantic import Field, model_validator

from cluster.config import Config

USERS = ("cold", "light", "heavy")
ITEMS = ("head", "torso", "tail")


class SegmentsConfig(Config):
    """Where segments end."""

    cold_events: int = Field(5, ge=0, description="longest history of a cold user")
    light_events: int = Field(50, ge=1, description="longest history of a light user; beyond, they are heavy")
    head_share: float = Field(0.5, gt=0, lt=1, description="share of all events that the head's items have")
    torso_share: float = Field(0.8, gt=0, lt=1, description="share of all events that head and torso have together")

    @model_validator(mode="after")
    def _in_order(self) -> "SegmentsConfig":
        if self.cold_events >= self.light_events or self.head_share >= self.torso_share:
            raise ValueError("segments must grow: cold_events < light_events and head_share < torso_share")
        return self


DEFAULT = SegmentsConfig.parse([])


def user_segment(history_length: np.ndarray, config: SegmentsConfig = DEFAULT) -> np.ndarray:
    """Return a position in USERS for each number of events, (q,)."""
    return np.searchsorted([config.cold_events, config.light_events], history_length)


def item_segment(popularity: np.ndarray, config: SegmentsConfig = DEFAULT) -> np.ndarray:
    """Return a position in ITEMS for each item, (n_items,).

    Items are taken from the most popular on; one belongs to the segment in which its first event falls, so that the
    head always holds one. Items without events are tail.
    """
    order = np.argsort(-popularity, kind="stable")
    before = (np.cumsum(popularity[order]) - popularity[order]) / max(popularity.sum(), 1e-12)
    segment = np.empty(len(popularity), dtype=np.int64)
    segment[order] = np.searchsorted([config.head_share, config.torso_share], before, side="right")
    segment[popularity == 0] = ITEMS.index("tail")
    return segment
