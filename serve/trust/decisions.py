"""A decision: a slate with all that it was made of, so that it can be told, explained and made again."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from serve.slates import Route
from serve.state.decision_log import Record, first_of
from train.models.features import FEATURES

HISTORY_ROWS = 200  # newest, that are kept; most encoders read 50
FEATURED = 50  # of the pool's best items, whose features are kept: half of all that a decision takes
CODEC = pa.Codec("lz4_raw")  # a fifth less would take twice as long
SIZE_BYTES = 4  # of a number in front of something: how long that is

NO_FEATURES = np.empty((0, len(FEATURES)), np.float32)
NO_PLACES = np.empty(0, np.int32)
NO_TRAITS = NO_SCORES = np.empty(0, np.float32)
NO_WORTH = np.empty(0, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A slate, its candidates and whatever they were ranked and arranged by; items are named by id, which lasts."""

    recommendation_id: str
    at_ms: int
    user_id: str  # empty: nobody we could know
    route: Route
    sent: dict[str, Any]  # the request's body, without who asked
    count: int  # items wanted
    scenario: str
    scenario_version: int
    config: dict[str, Any]  # of the scenario, with what the request said instead; only what is not as usual
    model_version: str
    state_version: int
    degraded: tuple[str, ...]
    fallback: str
    n_ranked: int  # candidates that the ranker scored together
    history: tuple[str, ...]  # item_ids, the newest HISTORY_ROWS of them, oldest first
    n_history: int  # rows in all
    item_ids: tuple[str, ...]  # of the pool, best first
    source: np.ndarray  # (n,) uint8, of the pool
    score: np.ndarray  # (n,) float32, of the pool, as the answer tells it
    shown: np.ndarray  # (k,) int32, positions in the pool, from the top
    propensity: np.ndarray  # (k,) float64
    rules: tuple[tuple[str, int], ...] = ()  # id and version of those in force
    n_slots: int = 0  # items that a place might have been given to, those of the pool first; 0: simply from the top
    open_at_once: int = 0  # of the slots
    pins: tuple[tuple[int, int, list[int]], ...] = ()  # of the slots
    quotas: tuple[tuple[int, list[int]], ...] = ()  # of the slots
    feature_names: tuple[str, ...] = FEATURES
    features: np.ndarray = field(default_factory=lambda: NO_FEATURES)  # (f, F) float32, of the pool's first f items
    place: np.ndarray = field(default_factory=lambda: NO_PLACES)  # (f,) int32, theirs among all that were ranked
    traits: np.ndarray = field(default_factory=lambda: NO_TRAITS)  # (t,) float32, of the shopper
    ranked_score: np.ndarray = field(default_factory=lambda: NO_SCORES)  # (n,) the ranker's own; none where `score` is
    worth: np.ndarray = field(default_factory=lambda: NO_WORTH)  # (n,) of the slots; none where it is that of `score`
    n_events: np.ndarray = field(default_factory=lambda: NO_WORTH)  # (n,) of the slots; none where they decide nothing
    holder: np.ndarray = field(default_factory=lambda: NO_PLACES)  # (m,) int32, of the slots
    value: np.ndarray = field(default_factory=lambda: NO_PLACES)  # (m,) int32, of the slots
    limit: np.ndarray = field(default_factory=lambda: NO_PLACES)  # (v,) int32, of the slots

    @property
    def first_id(self) -> str:
        """The decision that began the list."""
        return first_of(self.recommendation_id)

    @property
    def shown_ids(self) -> list[str]:
        """What was shown, from the top."""
        return [self.item_ids[place] for place in self.shown.tolist()]

    @property
    def n_bytes(self) -> int:
        """About how much memory the decision takes, less what strings its replica has anyway."""
        return self.features.nbytes + 32 * (len(self.item_ids) + len(self.history)) + len(orjson.dumps(self.sent))

    def record(self) -> Record:
        """Return the decision as it is written; who asked stands beside its content, not in it."""
        # Features column by column: what all candidates share, and what most lack, takes no room.
        arrays: dict[str, np.ndarray] = {name: getattr(self, name).T for name in ARRAYS}
        told: dict[str, Any] = {name: getattr(self, name) for name in TOLD}
        told["arrays"] = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        header = orjson.dumps(told)
        parts = len(header).to_bytes(SIZE_BYTES, "little"), header, *(array.tobytes() for array in arrays.values())
        content = b"".join(parts)
        packed = len(content).to_bytes(SIZE_BYTES, "little") + CODEC.compress(content, asbytes=True)
        return Record(self.recommendation_id, self.at_ms, self.user_id, packed)

    @classmethod
    def read(cls, record: Record) -> "Decision":
        """Return what `record` wrote."""
        size, packed = _number(record.content), record.content[SIZE_BYTES:]
        content = CODEC.decompress(packed, size, asbytes=True)
        end = SIZE_BYTES + _number(content)
        told = orjson.loads(content[SIZE_BYTES:end])
        arrays = {}
        for name, (dtype, shape) in told.pop("arrays").items():
            array = np.frombuffer(content, dtype, math.prod(shape), end)
            arrays[name], end = array.reshape(shape).T, end + array.nbytes
        told |= {name: tuple(told[name]) for name in LISTS} | {name: tuple(map(tuple, told[name])) for name in PAIRS}
        return cls(recommendation_id=record.recommendation_id, at_ms=record.at_ms, user_id=record.user_id, **told,
                   **arrays)  # fmt: skip


def _number(content: bytes) -> int:
    return int.from_bytes(content[:SIZE_BYTES], "little")


APART = ("recommendation_id", "at_ms", "user_id")
ARRAYS = ("source", "score", "shown", "propensity", "features", "place", "traits", "ranked_score", "worth",
          "n_events", "holder", "value", "limit")  # fmt: skip
TOLD = tuple(one.name for one in fields(Decision) if one.name not in APART + ARRAYS)
LISTS = ("degraded", "history", "item_ids", "feature_names")
PAIRS = ("rules", "pins", "quotas")
