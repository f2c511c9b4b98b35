"""Dead letters: the newest events that were refused for what they say, for whoever mends them and sends them again."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cluster.errors import LogError, StorageError
from serve.state.events import Ack, Event, Problem

log = logging.getLogger(__name__)

WRITE_S = 1.0  # letters of so long are written together, so that however many are refused the good ones do not wait
MAX_ID = 128  # characters of an id that are kept: right ones have no more
MAX_CONTENT = 131_072  # characters of an event; a right one, escaped, seldom has as many
COLUMNS = "at_ms, event_id, user_id, status, reason, content"
INSERT = f"INSERT INTO dead_letters (number, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
# An event that was sent again and is in by now needs no mending; one whose id was used before is another matter.
UNMENDED = "(status = 409 OR NOT EXISTS (SELECT 1 FROM events WHERE {same}))"

Execute = Callable[[str, tuple[Any, ...]], Any]


class DeadLetter(NamedTuple):
    """An event that was refused: COLUMNS."""

    at_ms: int
    event_id: str
    user_id: str
    status: int  # HTTP: 409 or 422
    reason: str
    content: str  # JSON, as POST /v1/events takes it

    @classmethod
    def of(cls, event: Event, problem: Problem, at_ms: int) -> "DeadLetter":
        """Return the letter of a refused event, whatever its texts hold."""
        event_id, user_id = (_plain(text)[:MAX_ID] for text in (event.event_id, event.user_id))
        return cls(at_ms, event_id, user_id, problem.status, _plain(problem.detail), _content(event))

    def as_line(self) -> str:
        """Return the letter as a line of JSON."""
        at = datetime.fromtimestamp(self.at_ms / 1e3, UTC).isoformat(timespec="milliseconds")
        told = {"at": at, "user": self.user_id, "status": self.status, "reason": self.reason}
        return json.dumps(told | {"event": json.loads(self.content)})


class LetterBox:
    """The letters in a log's database, the newest of each event id."""

    def __init__(
        self, check: Callable[[], None], transaction: Callable[[], AbstractContextManager[Execute]],
        rows: Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]], same: Callable[[str, str], str],
    ) -> None:  # fmt: skip
        """Begin; as EventLog.check, _transaction, _all and _same."""
        self._check, self._transaction, self._rows = check, transaction, rows
        self._unmended = UNMENDED.format(same=same("events.event_id", "dead_letters.event_id"))

    def put(self, letters: Sequence[DeadLetter], newest: int) -> None:
        """Write letters, durably, and keep the newest ones alone."""
        self._check()
        with self._transaction() as execute:
            for letter in letters:
                execute("DELETE FROM dead_letters WHERE event_id = ?", (letter.event_id,))
                [(number,)] = execute("SELECT coalesce(max(number), 0) + 1 FROM dead_letters", ())
                execute(INSERT, (number, *letter))
            kept = "SELECT number FROM dead_letters ORDER BY number DESC LIMIT ?"
            execute(f"DELETE FROM dead_letters WHERE number NOT IN ({kept})", (newest,))

    def all(self) -> list[DeadLetter]:
        """Return the letters, oldest first, without those whose events came in later."""
        query = f"SELECT {COLUMNS} FROM dead_letters WHERE {self._unmended} ORDER BY number"
        return [DeadLetter(*row) for row in self._rows(query, ())]

    def of(self, user_ids: Iterable[str]) -> list[DeadLetter]:
        """Return every letter of some shoppers, oldest first."""
        query = f"SELECT {COLUMNS} FROM dead_letters WHERE user_id = ? ORDER BY number"
        found = [DeadLetter(*row) for user_id in user_ids for row in self._rows(query, (user_id,))]
        return sorted(found, key=lambda letter: letter.at_ms)

    @staticmethod
    def burn(execute: Execute, user_ids: Iterable[str]) -> None:
        """Remove every letter of some shoppers, as a part of a transaction.

        The others are written anew: where single rows are deleted, SQLite moves others and leaves copies of them.
        """
        burnt, letters = set(user_ids), list(execute(f"SELECT number, {COLUMNS} FROM dead_letters ORDER BY number", ()))
        execute("DELETE FROM dead_letters", ())
        for number, *letter in letters:
            if DeadLetter(*letter).user_id not in burnt:
                execute(INSERT, (number, *letter))


class Outbox:
    """Letters on their way to the box, out of the good events' way."""

    def __init__(self, write: Callable[[list[DeadLetter]], Awaitable[None]], newest: int) -> None:
        self._write, self._newest = write, newest
        self._letters: deque[DeadLetter] = deque(maxlen=newest)
        self._writing: asyncio.Task[None] | None = None

    def note(self, events: Sequence[Event], acks: Sequence[Ack], at_ms: int) -> None:
        """Take the refused ones of some events, to be written in about a second."""
        refused = [(event, ack.problem) for event, ack in zip(events, acks, strict=True) if ack.problem is not None]
        self._letters += [DeadLetter.of(event, problem, at_ms) for event, problem in refused[-self._newest :]]
        if self._letters and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._later())

    async def empty(self) -> None:
        """Write what is here; what cannot be written is gone, since nobody was promised it."""
        letters = list(self._letters)
        self._letters.clear()
        if not letters:
            return
        try:
            await self._write(letters)
        except (StorageError, LogError) as error:
            log.warning("dead letters not kept n=%d error=%s", len(letters), error)

    async def close(self) -> None:
        """Write what is here, and nothing later."""
        if self._writing is not None:
            self._writing.cancel()
        await self.empty()

    async def _later(self) -> None:
        await asyncio.sleep(WRITE_S)
        await self.empty()


def _content(event: Event) -> str:
    """Return an event as it can be sent again, in ASCII; without the rest of what was sent where that is too large."""
    named = {"id": event.event_id, "type": event.event_type, "user": event.user_id, "item": event.item_id,
             "orderId": event.order_key}  # fmt: skip
    sent = {name: text for name, text in named.items() if text} | {"time": event.timestamp_ms}
    try:
        whole = json.dumps(sent | json.loads(event.payload))
    except (ValueError, TypeError):
        whole = ""
    return whole if 0 < len(whole) <= MAX_CONTENT else json.dumps(_cut(sent))


def _cut(sent: dict[str, Any]) -> dict[str, Any]:
    return {name: given[:MAX_ID] if isinstance(given, str) else given for name, given in sent.items()}


def _plain(text: str) -> str:
    """Return a text that every database takes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
