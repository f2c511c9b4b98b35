"""The decision log: what was shown to whom and why, kept for a while beside the events and never at their price."""

import re
import secrets
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from serve.state.dead_letters import Execute
from serve.state.shoppers import digest_of

COLUMNS = "recommendation_id, at_ms, user_id, content"
PUT = f"INSERT INTO decisions ({COLUMNS}) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
BLANK = "UPDATE decisions SET user_id = '', content = ? WHERE recommendation_id = ?"
NOTHING = b""  # content of a decision that was erased; the row stays until it is old, see `erase`
CLOCKS_MS = 2_000  # by which the clock of a replica may be ahead of the store's
AT_ONCE = 256  # rows removed in one transaction
ID = re.compile(r"rec_([0-9a-f]{12})[0-9a-f]{16}(?:-([1-9][0-9]{0,2}))?")


class Record(NamedTuple):
    """A decision as it is written: COLUMNS."""

    recommendation_id: str
    at_ms: int
    user_id: str  # empty: nobody we could know
    content: bytes  # as serve.trust.decisions.Decision.to_bytes


class DecisionLog(ABC):
    """Decisions by id; not safe for two threads at once.

    Ids begin with the time and a continued list's with its first one's, so that their order is that of their age, and a
    list lies together with all that continued it. A decision of somebody who was erased since is refused: it may come
    late from a replica.
    """

    def __init__(self, place: str, forgotten: Mapping[str, int]) -> None:
        """Begin; place: how errors name it; forgotten: digest of a user_id → when, and grows in place."""
        self.place = place
        self._forgotten: ChainMap[str, int] = ChainMap({}, dict(forgotten))

    def put(self, records: Sequence[Record]) -> list[bool]:
        """Write decisions; tell of each whether it is in the log because of this call."""
        with self._transaction() as execute:
            return [not self._is_forgotten(one) and execute(PUT, tuple(one)).rowcount == 1 for one in records]

    def get(self, recommendation_id: str) -> Record | None:
        """Return a decision, if it is here."""
        query = f"SELECT {COLUMNS} FROM decisions WHERE recommendation_id = ? AND content != ?"
        return next((_record(row) for row in self._all(query, (recommendation_id, NOTHING))), None)

    def chain(self, first_id: str) -> list[Record]:
        """Return the decision that began a list and all that continued it, in order; empty where there is none."""
        query = f"SELECT {COLUMNS} FROM decisions WHERE recommendation_id BETWEEN ? AND ? AND content != ?"
        found = [_record(row) for row in self._all(query, (first_id, f"{first_id}-~", NOTHING))]
        return sorted(found, key=lambda one: page_of(one.recommendation_id))

    def newest(self, limit: int) -> list[Record]:
        """Return the newest decisions, the newest first."""
        query = f"SELECT {COLUMNS} FROM decisions WHERE content != ? ORDER BY recommendation_id DESC LIMIT ?"
        return [_record(row) for row in self._all(query, (NOTHING, limit))]

    def of(self, user_ids: Iterable[str]) -> list[Record]:
        """Return every decision made for some shoppers, oldest first."""
        query = f"SELECT {COLUMNS} FROM decisions WHERE user_id != '' AND {self._same('user_id', '?')}"
        found = [_record(row) for user_id in user_ids for row in self._all(query, (user_id,))]
        return sorted(found, key=lambda one: one.at_ms)

    def erase(self, user_ids: Sequence[str], at_ms: int) -> int:
        """Empty every decision made for some shoppers, with no trace, and refuse those of up to now from now on.

        Their rows are not deleted: SQLite would move others, and leave copies of them.
        """
        self._forgotten.update({digest_of(user_id): at_ms for user_id in user_ids})
        with self._transaction() as execute:
            found = [one.recommendation_id for one in self.of(user_ids)]
            for recommendation_id in found:
                execute(BLANK, (NOTHING, recommendation_id))
        self._scrub()
        return len(found)

    def drop(self, until_ms: int) -> bool:
        """Remove some of the lists that began before a time, the oldest; tell whether there may be more."""
        some = "SELECT recommendation_id FROM decisions WHERE recommendation_id < ? ORDER BY 1 LIMIT ?"
        with self._transaction() as execute:
            gone = execute(f"DELETE FROM decisions WHERE recommendation_id IN ({some})", (prefix(until_ms), AT_ONCE))
            return gone.rowcount == AT_ONCE

    @abstractmethod
    def close(self) -> None:
        """Let go of the log."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Execute]:
        """Make what is executed lasting, all or nothing.

        Raises StorageError when the disk is full, UnavailableError when the log fails otherwise.
        """

    @abstractmethod
    def _all(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return the rows of a query; raises like `_transaction`."""

    @staticmethod
    @abstractmethod
    def _same(left: str, right: str) -> str:
        """As EventLog._same."""

    @abstractmethod
    def _scrub(self) -> None:
        """Leave nothing of what was removed in the files."""

    def _is_forgotten(self, record: Record) -> bool:
        if not self._forgotten or not record.user_id:
            return False
        at_ms = self._forgotten.get(digest_of(record.user_id))
        return at_ms is not None and record.at_ms <= at_ms + CLOCKS_MS


def new_id(at_ms: int) -> str:
    """Return the id of a decision of a moment."""
    return prefix(at_ms) + secrets.token_hex(8)


def prefix(at_ms: int) -> str:
    """Return how the ids of a moment begin."""
    return f"rec_{at_ms:012x}"


def first_of(recommendation_id: str) -> str:
    """Return the id of the first part of a list."""
    return recommendation_id.partition("-")[0]


def page_of(recommendation_id: str) -> int:
    """Return which part of a list an id names, 0 the first."""
    return int(recommendation_id.partition("-")[2] or 0)


def began_ms(recommendation_id: str) -> int | None:
    """Return when a list began, in epoch milliseconds; None where this is no id of ours."""
    found = ID.fullmatch(recommendation_id)
    return None if found is None else int(found[1], 16)


def _record(row: tuple[Any, ...]) -> Record:
    recommendation_id, at_ms, user_id, content = row
    return Record(recommendation_id, at_ms, user_id, bytes(content))
