"""A log begins once: where there was one before, a missing file is an error."""

import shutil
from pathlib import Path

import pytest

from cluster.errors import LogError
from serve.state.folder import begin
from serve.state.sqlite_log import FILE
from serve.state.store import Store
from tests.serve.state.state_world import FAST, event, run, send


def test_a_log_begins_where_there_was_none_and_stays_as_it_is_elsewhere(bundle: Path, data: Path) -> None:
    async def work() -> None:
        begin(data, "b1")
        store = Store.open(bundle, data, config=FAST)
        await send(store, [event("e1")])
        await store.close()
        begin(data, "b1")
        store = Store.open(bundle, data, config=FAST)
        assert store.position.version == 1
        await store.close()

    run(work())


def test_a_log_that_was_lost_is_not_begun_anew(bundle: Path, data: Path) -> None:
    begin(data, "b1")
    (data / FILE).unlink()
    with pytest.raises(LogError, match="now events.sqlite is missing"):
        begin(data, "b1")


def test_a_store_that_is_started_again_misses_an_emptied_folder(bundle: Path, data: Path) -> None:
    begin(data, "b1")
    for path in data.iterdir():
        path.unlink()
    with pytest.raises(LogError, match="holds no event log"):
        Store.open(bundle, data)


def test_an_older_log_is_not_taken_for_the_newest(bundle: Path, data: Path, tmp_path: Path) -> None:
    async def grow(event_id: str) -> None:
        store = Store.open(bundle, data, bootstrap=True, config=FAST)
        await send(store, [event(event_id)])
        await store.close()

    run(grow("e1"))
    shutil.copy(data / FILE, tmp_path / "backup")
    run(grow("e2"))
    shutil.copy(tmp_path / "backup", data / FILE)
    with pytest.raises(LogError, match="up to event 2, now .* up to 1; restore the log"):
        Store.open(bundle, data, config=FAST)


def test_closing_twice_is_closing_once(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = Store.open(bundle, data, bootstrap=True, config=FAST)
        await store.close()
        await store.close()

    run(work())
