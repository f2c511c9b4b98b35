"""The store as a gateway calls it: the one of this process, or a handle to its actor."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from serve.assortment import Writable
from serve.state.events import Event, Position
from serve.state.machine import Held, Receipt
from serve.state.store import AppendResult
from serve.state.view import Source
from serve.trust.recorder import KeepingStore


class Told(Protocol):
    """Who keeps what processes tell of themselves, as serve.state.reports.Reports."""

    async def put(self, process: str, text: str) -> None:
        """As Reports.put."""
        ...

    async def others(self, process: str) -> list[str]:
        """As Reports.others."""
        ...


class Store(Source, Writable, KeepingStore, Protocol):
    """All that is asked of it."""

    @property
    def reports(self) -> Told:
        """Who keeps reports."""
        ...

    async def append(self, events: Sequence[Event], vectors: np.ndarray, since: Position) -> AppendResult:
        """As serve.state.store.Store.append."""
        ...

    async def merge(self, user_id: str, source: str) -> int:
        """As serve.state.store.Store.merge."""
        ...

    async def take_back_merge(self, user_id: str, source: str) -> int:
        """As serve.state.store.Store.take_back_merge."""
        ...

    async def export(self, user_id: str) -> Held:
        """As serve.state.store.Store.export."""
        ...

    async def erase(self, user_id: str) -> Receipt:
        """As serve.state.store.Store.erase."""
        ...
