"""Writes of the catalogue, judged one by one in the order sent: each sees what those before it wrote."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from serve.state.admission import MAX_PAYLOAD_BYTES, fingerprint
from serve.state.catalogue import LiveCatalogue, etag
from serve.state.event_log import LogEntry
from serve.state.events import ITEM, Ack, Event, ItemWrite, Problem
from train.data.schema import NO_ITEM


class WriteRequest(NamedTuple):
    """An item as the shop wants it."""

    event_id: str  # the same when it is sent again
    write: ItemWrite
    expected: str | None  # ETag that the item must have until then, empty: it must not be there; None: as may be


def judge_writes(
    requests: Sequence[WriteRequest], vectors: np.ndarray, catalogue: LiveCatalogue,
    known: dict[str, tuple[int, bytes]], version: int,
) -> Iterator[Ack | None]:  # fmt: skip
    """Yield an ack for each write that changes nothing, and None for those that are to be logged.

    vectors: (n, d) float32, h_i that the content gives, zeros for none; known: as EventLog.known; version: of the
    state, which shows already what an unchanged write asks for.
    """
    pending: dict[str, str] = {}
    for request, vector in zip(requests, vectors, strict=True):
        item_id, content = request.write
        current = pending.get(item_id, _content(catalogue, item_id))
        if request.event_id in known:
            yield Ack(request.event_id, "duplicate", known[request.event_id][0], None)
        elif (problem := _problem(request, vector, current)) is not None:
            yield Ack(request.event_id, "rejected", None, problem)
        elif content == current and not (vector.any() and catalogue.index.get(item_id) in catalogue.unplaced):
            yield Ack(request.event_id, "duplicate", version, None)
        else:
            pending[item_id] = content
            yield None


def entry_of(request: WriteRequest, now_ms: int) -> LogEntry:
    """Return a write as it is logged."""
    event = Event(
        event_id=request.event_id, user_id="", item_idx=NO_ITEM, event_type=ITEM, weight=0.0, timestamp_ms=now_ms,
        item_id=request.write.item_id, payload=request.write.content,
    )  # fmt: skip
    return LogEntry(event, request.write.item_id, fingerprint(event, request.write.item_id))


def _content(catalogue: LiveCatalogue, item_id: str) -> str:
    item_idx = catalogue.index.get(item_id)
    return "" if item_idx is None else catalogue.content(item_idx)


def _problem(request: WriteRequest, vector: np.ndarray, current: str) -> Problem | None:
    item_id, content = request.write
    if request.expected is not None and request.expected != (etag(current) if current else ""):
        found = f"has ETag {etag(current)}" if current else "is not there"
        return Problem(412, f"item {item_id!r} {found}; read it again, then write")
    if not content and not current:
        return Problem(404, f"item {item_id!r} is not in the catalogue")
    if (size := len(content.encode())) > MAX_PAYLOAD_BYTES:
        return Problem(422, f"item {item_id!r} has {size} bytes, at most {MAX_PAYLOAD_BYTES} are kept")
    if not np.isfinite(vector).all():
        return Problem(422, f"the vector of item {item_id!r} is not finite")
    return None
