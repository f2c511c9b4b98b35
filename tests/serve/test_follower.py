"""A replica's view keeps up with the store, loses it, and finds it again."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cluster.errors import OutOfStepError, UnavailableError
from serve.state.events import MicroBatch, Position
from serve.state.follower import Follower
from serve.state.image import Image
from serve.state.store import Store
from serve.state.view import View
from tests.serve.state.state_world import FAST, event, run, send, write_small_bundle
from train.bundle_state import read_bundle_state


class Flaky:
    """A store that fails as told before it answers."""

    def __init__(self, store: Store) -> None:
        self.store, self.failures, self.images, self.tried = store, list[Exception](), 0, asyncio.Event()

    async def changes(self, since: Position, timeout_s: float) -> list[MicroBatch]:
        """Fail, or answer."""
        self.tried.set()
        if self.failures:
            raise self.failures.pop()
        return await self.store.changes(since, timeout_s)

    async def user(self, user_id: str, since: Position) -> object:
        """Answer."""
        return await self.store.user(user_id, since)

    async def image(self) -> Image:
        """Answer, and count."""
        self.images += 1
        return await self.store.image()


def follow(folder: Path, work: Callable[[Follower, Flaky], Awaitable[None]], *failures: Exception) -> None:
    """Run `work` beside a follower whose store first fails."""

    async def beside() -> None:
        bundle = write_small_bundle(folder / "bundle")
        flaky = Flaky(Store.open(bundle, folder / "data", bootstrap=True, config=FAST))
        flaky.failures = list(failures)
        view = View(read_bundle_state(bundle), await flaky.store.image())
        follower = Follower(view, flaky)  # pyright: ignore[reportArgumentType]
        following = asyncio.create_task(follower.run())
        await work(follower, flaky)
        following.cancel()
        await flaky.store.close()

    run(beside())


def test_events_reach_the_view(tmp_path: Path) -> None:
    async def work(follower: Follower, flaky: Flaky) -> None:
        result = await send(flaky.store, [event("e1"), event("e2")])
        assert await follower.view.wait_for(result.version, 30)
        assert follower.lag_ms() == 0

    follow(tmp_path, work)


def test_a_lost_store_is_noticed_and_found_again(tmp_path: Path) -> None:
    async def work(follower: Follower, flaky: Flaky) -> None:
        await flaky.tried.wait()
        assert follower.lost_at is not None
        assert follower.lag_ms() > 0
        result = await send(flaky.store, [event("e1")])
        assert await follower.view.wait_for(result.version, 30)
        assert follower.lost_at is None
        assert flaky.images == 0

    follow(tmp_path, work, UnavailableError("gone"))


def test_a_view_out_of_step_starts_again_from_the_image(tmp_path: Path) -> None:
    async def work(follower: Follower, flaky: Flaky) -> None:
        result = await send(flaky.store, [event("e1")])
        assert await follower.view.wait_for(result.version, 30)
        assert flaky.images == 1

    follow(tmp_path, work, OutOfStepError("another history"))


def test_a_defect_ends_the_follower_so_that_its_health_check_fails(tmp_path: Path) -> None:
    async def work(follower: Follower, flaky: Flaky) -> None:
        flaky.failures.append(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await follower.run()

    follow(tmp_path, work)
