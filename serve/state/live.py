"""The live state: a bundle's counts and vectors, carried forward by the log."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from cluster.config import Config
from serve.state.figures import Figures
from serve.state.shoppers import Shoppers
from train.bundle_state import BundleState
from train.models.item_state import ItemState

RULE = 4  # raise it when `learner.apply` or completion changes, so that no snapshot or replica mixes two rules


class LearnerConfig(Config):
    """How far one event moves the items."""

    learning_rate: float = Field(
        default=0.003, ge=0, le=0.1, description="Adagrad step on an item's row; 0 freezes the rows"
    )
    negatives: int = Field(default=64, ge=0, le=1_024, description="sampled items pushed away per event")
    max_drift: float = Field(
        default=0.1, ge=0, le=10, description="furthest a coordinate may move from the bundle's vector"
    )

    trusted_rows: int = Field(
        default=10,
        ge=0,
        description="rows of a history, up to the transitions' window, after which all counts",
    )
    repeat_minutes: float = Field(
        default=60, ge=0, description="a shopper's same item again within this time counts for nobody else"
    )

    judged_window: int = Field(
        default=2_000, ge=2, description="judged events after which one counts a third in the prequential figure"
    )
    guard_events: int = Field(
        default=500, ge=2, description="judged events before which the live items are always trusted"
    )

    @property
    def rule(self) -> str:
        """Name of the rule with these settings."""
        return f"{RULE}-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]}"


@dataclass(slots=True, kw_only=True)
class LiveState:
    """What `learner.apply` advances, in place and never rebinding an array; nothing else writes to it."""

    bundle: str  # version
    config: LearnerConfig
    items: ItemState
    anchor: np.ndarray  # (n_items, d) float32, the bundle's vectors
    squares: np.ndarray  # (n_items,) float32, Adagrad's sum of squared gradients per row
    shoppers: Shoppers
    figures: Figures
    version: int = 0  # seq of the last event applied


def live_state(
    bundle: BundleState, shoppers: Shoppers, config: LearnerConfig, vectors: np.ndarray | None = None
) -> LiveState:
    """Return the state before the first event.

    vectors: (n_items, d) float32 that the live vectors shall live in, such as an index's own memory.
    """
    anchor = np.ascontiguousarray(bundle.state.vectors, dtype=np.float32)
    if vectors is None:
        vectors = np.empty_like(anchor)
    np.copyto(vectors, anchor)
    return LiveState(
        bundle=bundle.manifest.version, config=config, anchor=anchor, shoppers=shoppers,
        squares=np.zeros(len(anchor), dtype=np.float32), items=replace(bundle.state.copy(), vectors=vectors),
        figures=Figures(config.judged_window, config.guard_events),
    )  # fmt: skip
