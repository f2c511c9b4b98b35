"""A view that keeps up with the store for as long as its replica lives, through the store's restarts."""

import asyncio
import logging
import time
from typing import Protocol

from cluster.errors import OutOfStepError, UnavailableError
from serve.state.image import Image
from serve.state.view import Source, View

log = logging.getLogger(__name__)

POLL_S = 10.0  # how long one question to an idle store stays open
RETRY_S = 0.05
OTHER_BUNDLE_S = 1.0  # between looks at a store that went over to another bundle, before this replica is replaced


class ImageSource(Source, Protocol):
    """A store that a view can also start from."""

    async def image(self) -> Image:
        """As Store.image."""
        ...


class Follower:
    """Applies what the store reports; `lost_at` tells since when it reports nothing, None while it does."""

    def __init__(self, view: View, store: ImageSource) -> None:
        self.view, self._store = view, store
        self.lost_at: float | None = None  # monotonic seconds

    def lag_ms(self) -> float:
        """Return for how long the store has not been heard, 0 while it is."""
        return 0.0 if self.lost_at is None else (time.monotonic() - self.lost_at) * 1e3

    async def run(self) -> None:
        """Follow until cancelled; only a defect ends it otherwise."""
        while True:
            try:
                self.view.apply(await self._store.changes(self.view.position, POLL_S))
                self.lost_at = None
            except OutOfStepError as error:
                log.warning("view=%d starts again from the store's image: %s", self.view.version, error)
                await self._restart()
            except UnavailableError:
                await self._lost()

    async def _restart(self) -> None:
        try:
            self.view.load(await self._store.image())
        except OutOfStepError:
            await self._lost(OTHER_BUNDLE_S)
        except UnavailableError:
            await self._lost()

    async def _lost(self, pause_s: float = RETRY_S) -> None:
        self.lost_at = self.lost_at or time.monotonic()
        await asyncio.sleep(pause_s)
