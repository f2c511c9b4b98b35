"""What is known of the items at one moment: vectors, popularity and transitions; a bundle's, or a live one."""

import math
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from cluster.config import Config
from train.data.schema import Interactions
from train.models.facets import Facets, no_facets
from train.models.opinions import Opinions, fit_opinions
from train.models.transitions import Transitions, TransitionsConfig, fit_transitions
from train.models.words import no_words

DAY_MS = 86_400_000


class ItemStateConfig(Config):
    """How behaviour becomes counts."""

    transitions: TransitionsConfig = TransitionsConfig.parse([])
    half_life_days: float = Field(
        default=30, gt=0, description="age at which an event counts half for recent popularity"
    )
    opinion_prior: float = Field(default=5, gt=0, description="opinions of doubt in what shoppers say of an item")
    repeat_prior: float = Field(default=5, gt=0, description="shoppers of doubt in an item's repeat rate")


@dataclass(slots=True, kw_only=True)
class ItemState:
    """Arrays over item_idx; `learner.apply` advances a live one, nothing else writes to it."""

    config: ItemStateConfig
    vectors: np.ndarray  # (n_items, d) float32, h_i
    popularity: np.ndarray  # (n_items,) float64, events ever
    recent: np.ndarray  # (n_items,) float64, events with forward decay: one at epoch_ms counts 1, later ones more
    repeat_rate: np.ndarray  # (n_items,) float32, share of buyers who bought again
    transitions: Transitions
    words: csr_matrix  # (n_items, n_terms) float32, rows of length 1 or empty; events do not move them
    opinions: Opinions
    facets: Facets  # what the shop says the items are; events do not move them
    n_events: float  # the sum of `popularity`
    recent_total: float  # the sum of `recent`
    gone: np.ndarray  # (n_items,) bool, no longer offered; in a bundle, none
    epoch_ms: int  # where forward decay starts (Cormode et al., 2009): only ratios of `recent` mean anything

    @property
    def n_items(self) -> int:
        """Items that can be recommended."""
        return len(self.vectors)

    def copy(self) -> "ItemState":
        """Return a state that counting moves apart from this one; what no event moves is shared."""
        counted = self.transitions
        apart = replace(counted, rows=counted.rows.copy(), columns=counted.columns.copy())
        apart.added = counted.added.copy()
        return replace(
            self,
            popularity=self.popularity.copy(),
            recent=self.recent.copy(),
            transitions=apart,
            gone=self.gone.copy(),
            opinions=self.opinions.copy(),
            facets=replace(self.facets),
        )

    def recency_weight(self, timestamp_ms: np.ndarray) -> np.ndarray:
        """Return what events at `timestamp_ms` add to `recent`."""
        return _exp2((timestamp_ms - self.epoch_ms) / (self.config.half_life_days * DAY_MS))

    def count(self, item_idx: np.ndarray, timestamp_ms: np.ndarray, share: np.ndarray) -> None:
        """Count events of items, or shares of them, (n,) each; to the same bits as one after the other."""
        weight = share * self.recency_weight(timestamp_ms)
        np.add.at(self.popularity, item_idx, share)
        np.add.at(self.recent, item_idx, weight)
        self.n_events = _added(self.n_events, share)
        self.recent_total = _added(self.recent_total, weight)


def fit_item_state(
    vectors: np.ndarray, interactions: Interactions, has_clock: bool, config: ItemStateConfig,
    words: csr_matrix | None = None, facets: Facets | None = None,
) -> ItemState:  # fmt: skip
    """Return the counts of a history beside the vectors (n_items, d) that a model gave the items, and what they say."""
    n_items = len(vectors)
    item_idx, timestamp_ms = interactions.item_idx, interactions.timestamp_ms
    epoch_ms = int(timestamp_ms.max(initial=0))
    age_days = (epoch_ms - timestamp_ms) / DAY_MS if has_clock else np.zeros(len(interactions))
    recent = np.bincount(item_idx, 0.5 ** (age_days / config.half_life_days), minlength=n_items)
    return ItemState(
        config=config,
        vectors=vectors,
        popularity=np.bincount(item_idx, minlength=n_items).astype(np.float64),
        recent=recent,
        repeat_rate=_repeat_rate(interactions, n_items, config.repeat_prior),
        transitions=fit_transitions(interactions, n_items, config.transitions),
        words=no_words(n_items) if words is None else words,
        opinions=fit_opinions(interactions, n_items),
        facets=no_facets(n_items) if facets is None else facets,
        n_events=float(len(interactions)),
        recent_total=float(recent.sum()),
        gone=np.zeros(n_items, dtype=bool),
        epoch_ms=epoch_ms,
    )


def recounted(state: ItemState, interactions: Interactions, has_clock: bool) -> ItemState:
    """Return the counts of another history of the same items; vectors, words and facets stay."""
    return fit_item_state(state.vectors, interactions, has_clock, state.config, state.words, state.facets)


def _added(total: float, terms: np.ndarray) -> float:
    """Return a sum with more terms, added one after the other, as np.sum would not."""
    return float(np.add.accumulate(np.append(total, terms))[-1])


def _exp2(x: np.ndarray) -> np.ndarray:
    """Return 2^x from sums and products alone: libm's last bit differs between processors, a replay's must not."""
    whole = np.floor(x)
    y = (x - whole) * math.log(2)
    term = total = np.ones_like(y)
    for k in range(1, 18):
        term = term * (y / k)
        total = total + term
    return np.ldexp(total, whole.astype(np.int64))


def _repeat_rate(interactions: Interactions, n_items: int, prior: float) -> np.ndarray:
    pair, times = np.unique(interactions.user_idx * n_items + interactions.item_idx, return_counts=True)
    buyers = np.bincount(pair % n_items, minlength=n_items)
    again = np.bincount(pair[times > 1] % n_items, minlength=n_items)
    average = again.sum() / max(buyers.sum(), 1)
    return ((again + prior * average) / (buyers + prior)).astype(np.float32)
