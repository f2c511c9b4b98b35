"""The values of the log: an event, its acknowledgement, a micro-batch, and a place in the log."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from train.data.schema import NO_ITEM
from train.data.steps.events import RETURN

RESERVED = "$"  # what types and ids of the store's own rows begin with
MERGE = "$merge"  # the type of a row by which one shopper's history joins another's
SILENT = "$silent"  # the type of a row that was forgotten or taken back
UNKNOWN = -2  # item_idx of an item that the sender's bundle does not have; the store judges it by its id
ITEM = "$item"  # the type of a row by which the shop says what an item is
SCENARIO = "$scenario"  # how a list of some place in the shop is made
RULE = "$rule"  # what the shop wants in its lists whatever was learned
TRAITS = "$traits"  # what is known of a shopper beside what they did; the row is the shopper's
DOCUMENTS = frozenset({SCENARIO, RULE})  # types of rows by which the shop says anything else
WRITES = DOCUMENTS | {ITEM, TRAITS}


class Ranks(NamedTuple):
    """Which place an event's item had in three slates just before the event; 1 is the first, UNRANKED none."""

    live: int  # what would have been answered
    still: int  # the bundle's items, for the shopper as of that moment
    frozen: int  # the bundle alone, which knows neither what its items nor what its shoppers did since


UNRANKED = -1
UNJUDGED = Ranks(0, 0, 0)  # nobody looked


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something a shopper did, as the gateway read it."""

    event_id: str
    user_id: str
    item_idx: int  # NO_ITEM for an event without an item, UNKNOWN for one whose item the gateway does not know
    event_type: str
    weight: float  # what the type says about liking the item: > 0 is learned from, < 0 pushes away, 0 is only logged
    timestamp_ms: int  # the client's time, clamped, or the gateway's
    item_id: str = ""  # as the sender says it; a store that serves another bundle goes by it
    catalogue: str = ""  # of the item, as the sender says it; another one's is refused; empty where nothing is said
    order_key: str = ""  # lines of one order share it; empty where there is none
    value: float | None = None
    payload: str = "{}"  # JSON: the rest of what the client sent, its `time` among it
    judged: Ranks = UNJUDGED
    opinion: float | None = None  # of the item, −1 to 1


class Problem(NamedTuple):
    """Why one event was refused."""

    status: int  # HTTP: 409 or 422
    detail: str


class Ack(NamedTuple):
    """What became of one event; `version` as minVersion makes an answer reflect it."""

    event_id: str
    status: Literal["applied", "duplicate", "rejected"]
    version: int | None  # the event's own place in the log, the first one's for a duplicate
    problem: Problem | None


class Position(NamedTuple):
    """How far a copy of the state has come, and in which history."""

    lineage: str  # log, bundle, learning rule and revision; states of two lineages have nothing to do with each other
    version: int  # seq of the last event applied
    reader: str = ""  # whose copy it is; anybody's when empty

    @property
    def bundle(self) -> str:
        """Version of the bundle, which says what item_idx and h_u mean."""
        return self.lineage.split("/")[1]


class Write(NamedTuple):
    """What an item, a document or a shopper is from now on."""

    kind: str  # one of WRITES, or SILENT, which says nothing
    id: str
    content: str  # JSON as serve.state.catalogue.written_content makes it; empty where it is gone

    @property
    def noun(self) -> str:
        """What errors call it."""
        return "user" if self.kind == TRAITS else self.kind.removeprefix(RESERVED)


NO_WRITE = Write(SILENT, "", "")


class Row(NamedTuple):
    """What an event says of its shopper: one line of the history, where it likes its item."""

    seq: int
    item_idx: int
    timestamp_ms: int
    order_key: str
    same_order: bool  # as the row before it
    event_type: str
    weight: float

    @property
    def is_return(self) -> bool:
        """Whether it takes a purchase back."""
        return self.event_type == RETURN and self.item_idx != NO_ITEM


def nobody_spoke(n: int) -> np.ndarray:
    """Return the opinions of events that say none, (n,) float32."""
    return np.full(n, np.nan, np.float32)


def nobody_looked(n: int) -> np.ndarray:
    """Return the Ranks of events that were not judged, (n, 3) int32."""
    return np.tile(np.array(UNJUDGED, np.int32), (n, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """Events committed together, with all that applying them needs; every array has length n.

    It is the unit of commit, of replay and of what replicas receive. Event i has seq first_seq + i.
    """

    first_seq: int
    event_types: tuple[str, ...]
    user_ids: tuple[str, ...]
    order_keys: tuple[str, ...]  # of a MERGE, whose history joins
    item_idx: np.ndarray  # (n,) int64, NO_ITEM for an event without an item
    weight: np.ndarray  # (n,) float64
    timestamp_ms: np.ndarray  # (n,) int64
    same_order: np.ndarray  # (n,) bool
    standing: np.ndarray  # (n,) float32 in [0, 1], how much of the event counts for others than its shopper
    previous: np.ndarray  # (n, window) int64, the shopper's items before it, newest first, NO_ITEM on the left
    vectors: np.ndarray  # (n, d) float32, h_u as the gateway encoded it; zeros make no step; of an ITEM, its h_i
    judged: np.ndarray  # (n, 3) int32, Ranks, UNJUDGED in most rows
    opinion: np.ndarray  # (n,) float32 of the item, −1 to 1, NaN for none
    writes: tuple[Write, ...] = ()  # one for each event of a batch of WRITES, which hold nothing else but SILENT

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def version(self) -> int:
        """Seq of the last event."""
        return self.first_seq + len(self) - 1

    def rows(self) -> Iterator[Row]:
        """Yield what each event says of its shopper."""
        return map(
            Row, range(self.first_seq, self.version + 1), self.item_idx.tolist(), self.timestamp_ms.tolist(),
            self.order_keys, self.same_order.tolist(), self.event_types, self.weight.tolist(),
        )  # fmt: skip


class AppendResult(NamedTuple):
    """What became of some events, and what the caller's view needs to show them."""

    acks: list[Ack]
    batches: list[MicroBatch]  # all after the caller's position, or none when it lags too far
    version: int  # the newest that `batches` may reach
