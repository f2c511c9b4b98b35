"""Admission: which events may enter the log, judged one by one so that a bad one spoils nothing beside it."""

import hashlib
import json
import math
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quoted

from serve.state.event_log import LogEntry
from serve.state.events import RESERVED, UNKNOWN, Ack, Event, Problem
from serve.state.live import LiveState
from serve.state.membership import misplaced
from train.data.ids import id_problem
from train.data.schema import NO_ITEM

MAX_PAYLOAD_BYTES = 65_536
MAX_WEIGHT = 1e6


def admitted(event: Event, is_finite: bool, state: LiveState, latest_ms: int) -> LogEntry | Problem:
    """Return an event as it is logged, or why it is not; is_finite: its h_u; latest_ms: that the state can count."""
    if event.item_idx == UNKNOWN:
        said = f"item {event.item_id!r} is not in the catalogue of bundle {state.bundle}"
        return Problem(422, f"{said}; PUT it there, then send the event again")
    item_ids = state.catalogue.item_ids
    if problem := event_problem(event, is_finite, len(item_ids), latest_ms):
        return problem
    item_id = None if event.item_idx == NO_ITEM else item_ids[event.item_idx]
    if item_id is not None and event.catalogue:
        home = state.catalogue.membership.of(event.item_idx)
        if wrong := misplaced(f"item {item_id!r}", home, event.catalogue):
            return Problem(422, wrong)
    return LogEntry(event, item_id, fingerprint(event, item_id))


def event_problem(event: Event, is_finite: bool, n_items: int, latest_ms: int) -> Problem | None:
    """Return why an event can mean nothing here, or None; is_finite: its h_u."""
    for name, text in (("id", event.event_id), ("user", event.user_id), ("type", event.event_type)):
        if problem := id_problem(text):
            return Problem(422, f"{name} {text[:128]!r} {problem}")
    for name, text in (("id", event.event_id), ("type", event.event_type)):
        if text.startswith(RESERVED):
            return Problem(422, f"{name} {text!r} begins with {RESERVED}, as only the store's own do")
    if event.order_key and (problem := id_problem(event.order_key)):
        return Problem(422, f"orderId {event.order_key[:128]!r} {problem}")
    if not NO_ITEM <= event.item_idx < n_items:
        return Problem(422, f"item_idx {event.item_idx} is not among the {n_items} items of the bundle")
    if not abs(event.weight) <= MAX_WEIGHT:  # also false for NaN
        return Problem(422, f"weight {event.weight} is not between -{MAX_WEIGHT:g} and {MAX_WEIGHT:g}")
    if event.opinion is not None and not abs(event.opinion) <= 1:
        return Problem(422, f"opinion {event.opinion} is not between -1 and 1")
    if not 0 <= event.timestamp_ms <= latest_ms:
        return Problem(422, f"time {event.timestamp_ms} ms is not between 0 and {latest_ms}, what the bundle can count")
    if event.value is not None and not math.isfinite(event.value):
        return Problem(422, f"value {event.value} is not finite")
    if not is_finite:
        return Problem(422, "the shopper's vector is not finite")
    return _payload_problem(event.payload)


def fingerprint(event: Event, item_id: str | None) -> bytes:
    """Return what tells a retry from other content under the same id.

    The weight belongs to the configuration and the timestamp may be the gateway's own, so neither counts; a time that
    the client gave is in the payload.
    """
    item = "null" if item_id is None else quoted(item_id)
    value = "null" if event.value is None else json.dumps(event.value)
    texts = quoted(event.user_id), item, quoted(event.event_type), quoted(event.order_key), value, quoted(event.payload)
    # What json.dumps makes of the list, in a third of the time; logs hold it, so it shall stay.
    return hashlib.sha256(f"[{', '.join(texts)}]".encode()).digest()[:16]


def judge(
    events: Sequence[Event], entries: Sequence[LogEntry | Problem], known: dict[str, tuple[int, bytes]], next_seq: int
) -> list[Ack]:
    """Return an ack per event; the new ones get versions from `next_seq` on.

    known: event_id → seq and fingerprint of those already in the log.
    """
    seen, acks = dict(known), []
    for event, entry in zip(events, entries, strict=True):
        if isinstance(entry, Problem):
            acks.append(Ack(event.event_id, "rejected", None, entry))
        elif event.event_id not in seen:
            seen[event.event_id] = (next_seq, entry.fingerprint)
            acks.append(Ack(event.event_id, "applied", next_seq, None))
            next_seq += 1
        else:
            acks.append(_repeated(event.event_id, entry.fingerprint, *seen[event.event_id]))
    return acks


def _repeated(event_id: str, content: bytes, first_seq: int, first_content: bytes) -> Ack:
    if content == first_content:
        return Ack(event_id, "duplicate", first_seq, None)
    return Ack(event_id, "rejected", None, Problem(409, f"event id {event_id!r} was used before with other content"))


def _payload_problem(payload: str) -> Problem | None:
    try:
        size = len(payload.encode())
    except UnicodeEncodeError:
        return Problem(422, "the payload holds half of a surrogate pair")
    if size > MAX_PAYLOAD_BYTES:
        return Problem(422, f"the payload has {size} bytes, at most {MAX_PAYLOAD_BYTES} are kept")
    return None
