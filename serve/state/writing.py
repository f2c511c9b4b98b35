"""Writes of items, documents and traits, judged one by one in the order sent: each sees what those before it wrote."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from serve.state.admission import MAX_PAYLOAD_BYTES, fingerprint
from serve.state.catalogue import etag
from serve.state.documents import ALWAYS
from serve.state.event_log import LogEntry
from serve.state.events import TRAITS, Ack, Event, Problem, Write
from serve.state.live import LiveState
from serve.state.membership import home_of, misplaced
from serve.state.shoppers import AllShoppers
from train.data.schema import NO_ITEM


class WriteRequest(NamedTuple):
    """An item, a document or a shopper's traits as the shop wants them."""

    event_id: str  # the same when it is sent again
    write: Write
    expected: str | None  # ETag that it must have until then, empty: it must not be there; None: as may be
    catalogue: str | None = None  # that an item is written to, or taken from; None: the one that it names


def judge_writes(
    requests: Sequence[WriteRequest], vectors: np.ndarray, state: LiveState, shoppers: AllShoppers,
    known: dict[str, tuple[int, bytes]],
) -> Iterator[Ack | None]:  # fmt: skip
    """Yield an ack for each write that changes nothing, and None for those that are to be logged.

    vectors: (n, d) float32, h_i that the content gives, zeros for none; known: as EventLog.known.
    """
    pending: dict[tuple[str, str], str] = {}
    for request, vector in zip(requests, vectors, strict=True):
        kind, name, content = request.write
        if (current := pending.get((kind, name))) is None:
            current = shoppers.get(name).content if kind == TRAITS else state.content(kind, name)
        if request.event_id in known:
            yield Ack(request.event_id, "duplicate", known[request.event_id][0], None)
        elif (problem := _problem(request, vector, current)) is not None:
            yield Ack(request.event_id, "rejected", None, problem)
        elif content == current and not (vector.any() and state.catalogue.lacks_vector(name)):
            yield Ack(request.event_id, "duplicate", state.version, None)  # which shows it already
        else:
            pending[kind, name] = content
            yield None


def entry_of(request: WriteRequest, now_ms: int) -> LogEntry:
    """Return a write as it is logged."""
    kind, name, content = request.write
    user_id, item_id = (name, None) if kind == TRAITS else ("", name)
    event = Event(
        event_id=request.event_id, user_id=user_id, item_idx=NO_ITEM, event_type=kind, weight=0.0,
        timestamp_ms=now_ms, item_id=item_id or "", payload=content,
    )  # fmt: skip
    return LogEntry(event, item_id, fingerprint(event, item_id))


def _problem(request: WriteRequest, vector: np.ndarray, current: str) -> Problem | None:
    write, size = request.write, len(request.write.content.encode())
    what = f"{write.noun} {write.id!r}"
    if request.catalogue is not None and (wrong := misplaced(what, home_of(current), request.catalogue)):
        return Problem(409, f"{wrong}; DELETE it there, or take another id") if write.content else Problem(404, wrong)
    if request.expected is not None and request.expected != (etag(current) if current else ""):
        found = f"has ETag {etag(current)}" if current else "is not there"
        return Problem(412, f"{what} {found}; read it again, then write")
    if not write.content and (write.kind, write.id) in ALWAYS:
        return Problem(409, f"{what} is always there; write it anew instead")
    if not write.content and not current:
        return Problem(404, f"there is no {what}")
    if size > MAX_PAYLOAD_BYTES:
        return Problem(422, f"{what} has {size} bytes, at most {MAX_PAYLOAD_BYTES} are kept")
    if not np.isfinite(vector).all():
        return Problem(422, f"the vector of {what} is not finite")
    return None
