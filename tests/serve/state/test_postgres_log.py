"""A log in PostgreSQL keeps what a file keeps, and whoever opened it last is the one who writes."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from cluster.errors import ConfigError, LogError
from serve.state.folder import VARIABLE, begin
from serve.state.postgres_log import PostgresLog, plain_place
from serve.state.store import Store
from tests.serve.state.log_machine import OpenLog, check_against_a_model, written
from tests.serve.state.postgres import own_place, running_server
from tests.serve.state.state_world import FAST, event, random_events, run, send

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    return own_place(server)


def test_a_database_keeps_what_it_is_given(server: str, tmp_path: Path) -> None:
    def new_log() -> OpenLog:
        return partial(PostgresLog.open, own_place(server), tmp_path)

    check_against_a_model(new_log)


def test_who_opened_last_writes_and_the_owner_before_does_no_more(url: str, tmp_path: Path) -> None:
    before = PostgresLog.open(url, tmp_path, bootstrap=True)
    written(before, [event("e1")])
    after = PostgresLog.open(url, tmp_path)
    with pytest.raises(LogError, match="another one took over"):
        written(before, [event("e2")])
    with pytest.raises(LogError, match="takes no events"):
        written(before, [event("e3")])
    written(after, [event("e2")])
    assert [one.batch.version for one in after.read(0)] == [1, 2]
    for log in (before, after):
        log.close()


@pytest.mark.parametrize("asked", ["known", "append", "read"])
def test_a_connection_that_broke_takes_no_events_and_loses_none(url: str, tmp_path: Path, asked: str) -> None:
    log = PostgresLog.open(url, tmp_path, bootstrap=True)
    written(log, [event("e1")])
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (log._connection.info.backend_pid,))
    ways = {
        "known": lambda: log.known(["e1"]),
        "read": lambda: list(log.read(0)),
        "append": lambda: written(log, [event("e2")]),
    }
    with pytest.raises(LogError, match="restart the store"):
        ways[asked]()
    with pytest.raises(LogError, match="takes no events"):
        written(log, [event("e2")])
    log.close()
    log = PostgresLog.open(url, tmp_path)
    assert set(log.known(["e1", "e2"])) == {"e1"}
    log.close()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_database_that_does_not_flush_is_refused(setting: str, tmp_path: Path) -> None:
    with running_server(f"-c {setting}=off") as url, pytest.raises(LogError, match=f"{setting}=off and would lose"):
        PostgresLog.open(url, tmp_path, bootstrap=True)


def test_an_empty_database_is_refused_unless_a_log_is_to_begin(url: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="holds no event log"):
        PostgresLog.open(url, tmp_path)


def test_errors_name_the_database_and_never_the_password(tmp_path: Path) -> None:
    assert plain_place("postgresql://shop:secret@db.example:5432/events") == "postgresql://db.example:5432/events"
    with pytest.raises(LogError, match="cannot be opened") as raised:
        PostgresLog.open("postgresql://shop:secret@127.0.0.1:1/events", tmp_path)
    assert "secret" not in str(raised.value)


def test_the_environment_names_the_log(bundle: Path, data: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, url)

    async def work() -> None:
        begin(data, "b1")
        begin(data, "b1")
        store = Store.open(bundle, data, config=FAST)
        await send(store, random_events(40))
        before = await store.state_hash()
        await store.close()
        elsewhere = Store.open(bundle, data.with_name("another node"), config=FAST)
        assert await elsewhere.state_hash() == before
        await elsewhere.close()

    run(work())
    assert not list(data.glob("*.sqlite"))


def test_another_kind_of_address_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mysql://root@host/shop")
    with pytest.raises(ConfigError, match="begins with 'mysql'"):
        begin(data, "b1")
