"""A reading: what a thread makes of the whole catalogue, while the loop keeps account of what is written since."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

import pandas as pd

from cluster.errors import UnavailableError
from serve.state.catalogue import LiveCatalogue

log = logging.getLogger(__name__)

T = TypeVar("T")

FEW, SHARE = 1_000, 0.02  # items written since, or share of all, whichever is more, before all is read anew
MANY = 5_000  # written since, above which requests wait for that: they cost the loop some 20 µs each
WAIT_S = 2.0  # longest wait


class Contents(NamedTuple):
    """A catalogue at one moment, which nobody changes any more."""

    frame: pd.DataFrame
    item_ids: list[str]
    written: Mapping[int, str]

    def told(self, item_idx: int) -> dict[str, Any]:
        """Return what one of the written items says."""
        return json.loads(self.written[item_idx] or "{}")


class Reading(Generic[T]):
    """The newest value that was read, and the writes after it; it belongs to the thread that writes."""

    def __init__(
        self, catalogue: LiveCatalogue, read: Callable[[Contents], T], builder: Executor | None = None
    ) -> None:  # fmt: skip
        """Begin to read, in a thread of our own unless there is a `builder`."""
        self._catalogue, self._read = catalogue, read
        self._builder = builder or ThreadPoolExecutor(1, thread_name_prefix="reading")
        self.value: T | None = None
        self.base = 0  # of the catalogue's changes, those before it are in the value
        self.n_items = 0  # in the value
        self._begin()

    def catch_up(self) -> None:
        """Take what was read, and begin anew when much was written since."""
        if self._building is not None and self._building.done():
            building, self._building = self._building, None
            try:
                self.value, (self.base, self.n_items) = building.result(), self._next
            except Exception:  # whatever it was: what was read before is good with the changes since
                log.exception("catalogue not read")
        if self.n_items > len(self._catalogue):  # it went back to an image of fewer items
            self.value, self.n_items = None, 0
        behind = len(self._catalogue.changes) - self.base
        if self._building is None and (self.value is None or behind > max(FEW, SHARE * len(self._catalogue))):
            self._begin()

    async def ready(self) -> None:
        """Return once `now` has a value and changes are few; raises UnavailableError where that takes too long."""
        self.catch_up()
        is_behind = self.value is None or len(self._catalogue.changes) - self.base > MANY
        if is_behind and self._building is not None:
            done, _ = await asyncio.wait([asyncio.wrap_future(self._building)], timeout=WAIT_S)
            self.catch_up()
            if not done:
                raise UnavailableError("the catalogue is still being read; send the same request in a second")

    def now(self) -> T:
        """Return the value; raises UnavailableError where there is none."""
        if self.value is None:
            raise UnavailableError("the catalogue could not be read; the server's log says why")
        return self.value

    def _begin(self) -> None:
        contents = Contents(self._catalogue.frame, list(self._catalogue.item_ids), dict(self._catalogue.written))
        self._next = len(self._catalogue.changes), len(self._catalogue)
        self._building: Future[T] | None = self._builder.submit(self._read, contents)
