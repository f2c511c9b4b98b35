"""Replays of a closed log: up to any event, and without anybody."""

from pathlib import Path

import pytest

from cluster.errors import LogError, UnprocessableError
from serve.state.config import StoreConfig
from serve.state.live import LearnerConfig
from serve.state.replay import replay
from serve.state.store import Store
from tests.serve.state.state_world import closed_hash, opened, random_events, run, send

USUAL = StoreConfig(learner=LearnerConfig())


async def filled(bundle: Path, data: Path, parts: int, snapshots: bool = True) -> Store:
    store = opened(bundle, data, USUAL)
    for seed in range(parts):
        await send(store, random_events(7, seed, f"p{seed}-"), seed=seed)
        if snapshots:
            await store.snapshot()
    return store


def replayed(
    bundle: Path, data: Path, until: int | None = None, exclude_users: tuple[str, ...] = ()
) -> tuple[int, str]:
    header = replay(bundle, data, until, exclude_users).snapshot.header
    return header.version, header.state_hash


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("parts", [0, 1, 3])
def test_the_past_is_what_the_store_was_then(bundle: Path, data: Path, parts: int, snapshots: bool) -> None:
    then = run(closed_hash(run(filled(bundle, data / "then", parts, snapshots))))
    run(closed_hash(run(filled(bundle, data / "now", 5, snapshots))))
    assert replayed(bundle, data / "now", until=7 * parts) == then


def test_without_somebody_the_state_is_that_of_an_erasure(bundle: Path, data: Path) -> None:
    run(closed_hash(run(filled(bundle, data, 4))))
    found = replayed(bundle, data, exclude_users=("u1", "u6"))

    async def erased() -> tuple[int, str]:
        store = opened(bundle, data, USUAL)
        for user_id in ("u1", "u6"):
            await store.erase(user_id)
        return await closed_hash(store)

    assert run(erased()) == found


def test_replaying_without_somebody_changes_nothing(bundle: Path, data: Path) -> None:
    hashed = run(closed_hash(run(filled(bundle, data, 3))))
    assert replayed(bundle, data, exclude_users=("u1",)) != hashed
    assert replayed(bundle, data) == hashed
    assert run(closed_hash(opened(bundle, data, USUAL))) == hashed


def test_what_cannot_be_replayed_says_why(bundle: Path, data: Path) -> None:
    store = run(filled(bundle, data, 1))
    with pytest.raises(LogError, match="another process holds"):
        replay(bundle, data)
    run(closed_hash(store))
    with pytest.raises(UnprocessableError, match="not between 0 and 7"):
        replay(bundle, data, until=8)
