"""Retention: the log lets go of old batches that say nothing to the bundle which learned from them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from cluster.errors import LogError, StorageError
from serve.state.dead_letters import Execute
from serve.state.events import RESERVED, SILENT

log = logging.getLogger(__name__)

STRETCH = 512  # events looked at, and perhaps removed, between two commits
NEVER = 2**62  # ms; when a merge, or another row of the store's own, is old enough to go
DAY_S, DAY_MS = 86_400.0, 86_400_000

FIRST = """SELECT first_seq, version FROM batches
    WHERE version > ? AND version < ? AND bundle != ? ORDER BY version LIMIT 1"""
TIMES = f"""SELECT b.first_seq, b.version, min(e.timestamp_ms), max(
        CASE WHEN substr(e.event_type, 1, 1) = '{RESERVED}' AND e.event_type != '{SILENT}'
        THEN {NEVER} ELSE e.timestamp_ms END)
    FROM batches b JOIN events e ON e.seq BETWEEN b.first_seq AND b.version
    WHERE b.version BETWEEN ? AND ? AND b.version < ? AND b.bundle != ?
    GROUP BY b.first_seq, b.version ORDER BY b.version"""
MENDED = """DELETE FROM dead_letters
    WHERE status != 409 AND event_id IN (SELECT event_id FROM events WHERE seq BETWEEN ? AND ?)"""


class Span(NamedTuple):
    """Events of whole batches, with no gap between them."""

    first_seq: int
    version: int  # of the last one


class Stretch(NamedTuple):
    """A part of the log, and what of it nobody needs."""

    version: int  # of its end
    outdated: list[Span]
    has_old: bool  # whether any of its events is old enough to go


class Removals:
    """What a log let go of. Its newest batch always stays, so that no seq is given twice."""

    first_seq = 0  # of the oldest event kept, 0 while none was removed
    last_seq = 0  # of the newest event removed

    def __init__(
        self, check: Callable[[], None], transaction: Callable[[], AbstractContextManager[Execute]],
        rows: Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]],
    ) -> None:  # fmt: skip
        """Begin; as EventLog.check, _transaction and _all."""
        self._check, self._transaction, self._rows = check, transaction, rows

    def read(self) -> None:
        """Read what was removed up to now."""
        [(self.last_seq,)] = self._rows("SELECT coalesce(max(last_seq), 0) FROM removed", ())
        if self.last_seq:
            [(self.first_seq,)] = self._rows("SELECT first_seq FROM batches ORDER BY version LIMIT 1", ())

    def stretch(self, bundle: str, after: int, until: int, latest_ms: int) -> Stretch | None:
        """Return the next batches after version `after`, before version `until`, that others than `bundle` wrote.

        latest_ms: of the events that may go; a batch goes as a whole or not at all. None when there are no more.
        """
        if not (found := self._rows(FIRST, (after, until, bundle))):
            return None
        first = Span(*found[0])
        times = self._rows(TIMES, (first.version, max(first.version, first.first_seq + STRETCH - 1), until, bundle))
        outdated = [Span(first_seq, version) for first_seq, version, _, newest in times if newest <= latest_ms]
        return Stretch(times[-1][1], joined(outdated), any(oldest <= latest_ms for _, _, oldest, _ in times))

    def remove(self, spans: Sequence[Span]) -> None:
        """Remove batches, their events and whatever letters those had, durably."""
        self._check()
        with self._transaction() as execute:
            for span in spans:
                execute(MENDED, span)
                execute("DELETE FROM events WHERE seq BETWEEN ? AND ?", span)
                execute("DELETE FROM batches WHERE version BETWEEN ? AND ?", span)
            execute("DELETE FROM removed", ())
            execute("INSERT INTO removed VALUES (?)", (max(self.last_seq, spans[-1].version),))
        self.read()

    def drop_letters(self, until_ms: int) -> None:
        """Remove the letters of up to a time."""
        self._check()
        with self._transaction() as execute:
            execute("DELETE FROM dead_letters WHERE at_ms <= ?", (until_ms,))


class Retention:
    """Lets go of what is older than `keep_days` once a day, a stretch at a time; asked now and then, it needs no clock.

    let_go: carries the removal on after a version, for events up to a time; returns where to go on, None at the end.
    """

    def __init__(self, let_go: Callable[[int, int], Awaitable[int | None]], keep_days: float | None) -> None:
        self._let_go, self._keep_days = let_go, keep_days
        self._due = 0.0  # monotonic seconds
        self.running: asyncio.Task[None] | None = None

    def when_due(self) -> None:
        """Begin when a day has passed since the last time."""
        idle = self.running is None or self.running.done()
        if self._keep_days is not None and idle and time.monotonic() >= self._due:
            self._due = time.monotonic() + DAY_S
            self.running = asyncio.create_task(self._run(time.time_ns() // 1_000_000 - int(self._keep_days * DAY_MS)))

    def now(self) -> None:
        """Begin, because another bundle may need less."""
        self._due = 0.0
        self.when_due()

    def close(self) -> None:
        """Stop after the stretch under way."""
        if self.running is not None:
            self.running.cancel()

    async def _run(self, latest_ms: int) -> None:
        after: int | None = 0
        try:
            while after is not None:
                after = await self._let_go(after, latest_ms)
        except (StorageError, LogError) as error:
            log.warning("old events not removed error=%s", error)


def joined(spans: Sequence[Span]) -> list[Span]:
    """Return ascending spans with those that touch made one."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].version + 1 == span.first_seq:
            found[-1] = found[-1]._replace(version=span.version)
        else:
            found.append(span)
    return found
