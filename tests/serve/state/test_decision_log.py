"""Decisions are kept by id for a while; lists lie together, and whoever was erased leaves none."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cluster.errors import LogError, StorageError, UnavailableError
from serve.state import decision_log
from serve.state.decision_log import CLOCKS_MS, DecisionLog, Record, began_ms, first_of, new_id, page_of, prefix
from serve.state.decision_tables import FILE, PostgresDecisions, SqliteDecisions
from serve.state.postgres_log import PostgresLog
from serve.state.shoppers import digest_of
from serve.state.store import Store
from tests.serve.state.postgres import own_place, running_server
from tests.serve.state.state_world import FAST, event, opened, random_events, run, send
from tests.serve.state.test_erasure import LONG, traces

Open = Callable[[], DecisionLog]
USERS = st.sampled_from(["", "u1", "u2", "u\0'"])


def record(at_ms: int = 1, user_id: str = "u1", page: int = 0, content: bytes = b"why", lot: int = 0) -> Record:
    """Return a decision of a moment; lot tells those of one moment apart."""
    first = f"{prefix(at_ms)}{lot:016x}"
    return Record(f"{first}-{page}" if page else first, at_ms, user_id, content)


class DecisionMachine(RuleBasedStateMachine):
    """The log of decisions against a dict."""

    def __init__(self, open_log: Open) -> None:
        super().__init__()
        self.open, self.log = open_log, open_log()
        self.kept: dict[str, Record] = {}
        self.erased: dict[str, int] = {}
        self.emptied: dict[str, Record] = {}

    @rule(
        at_ms=st.integers(0, 5), user_id=USERS.filter(lambda one: "\0" not in one), page=st.integers(0, 12),
        content=st.binary(min_size=1, max_size=9), lot=st.integers(0, 1),
    )  # fmt: skip
    def put(self, at_ms: int, user_id: str, page: int, content: bytes, lot: int) -> None:
        one = record(at_ms * CLOCKS_MS, user_id, page, content, lot)
        is_late = user_id in self.erased and one.at_ms <= self.erased[user_id] + CLOCKS_MS
        is_new = one.recommendation_id not in self.kept | self.emptied and not is_late
        assert self.log.put([one, one]) == [is_new, False]
        if is_new:
            self.kept[one.recommendation_id] = one

    @invariant()
    def tells_the_newest_first(self) -> None:
        found = self.log.newest(3)
        assert [one.at_ms for one in found] == sorted((one.at_ms for one in self.kept.values()), reverse=True)[:3]
        assert all(self.kept[one.recommendation_id] == one for one in found)

    @rule(user_id=st.sampled_from(["u1", "u2"]), at_ms=st.integers(0, 3))
    def erase(self, user_id: str, at_ms: int) -> None:
        gone = {name: one for name, one in self.kept.items() if one.user_id == user_id}
        assert self.log.erase([user_id], at_ms * CLOCKS_MS) == len(gone)
        self.emptied |= gone
        self.erased[user_id] = at_ms * CLOCKS_MS
        self.kept = {name: one for name, one in self.kept.items() if name not in gone}

    @rule(until=st.integers(0, 6))
    def drop(self, until: int) -> None:
        assert not self.log.drop(until * CLOCKS_MS)
        self.kept, self.emptied = (
            {name: one for name, one in some.items() if one.at_ms >= until * CLOCKS_MS}
            for some in (self.kept, self.emptied)
        )

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log, self.erased = self.open(), {}

    @invariant()
    def holds_what_it_was_given(self) -> None:
        for name, one in self.kept.items():
            assert self.log.get(name) == one
        for first in {first_of(name) for name in self.kept}:
            own = [one for name, one in self.kept.items() if first_of(name) == first]
            assert self.log.chain(first) == sorted(own, key=lambda one: page_of(one.recommendation_id))
        for user_id in ("u1", "u2"):
            of_user = [one for one in self.kept.values() if one.user_id == user_id]
            assert sorted(self.log.of([user_id])) == sorted(of_user)
        assert self.log.get("rec_never") is None
        assert self.log.chain(new_id(7)) == []

    def teardown(self) -> None:
        self.log.close()


def check_against_a_model(new_log: Callable[[], Open]) -> None:
    class Session(DecisionMachine):
        def __init__(self) -> None:
            super().__init__(new_log())

    run_state_machine_as_test(Session, settings=settings(max_examples=15, stateful_step_count=10, deadline=None))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


def test_a_file_keeps_what_it_is_given(tmp_path_factory: pytest.TempPathFactory) -> None:
    check_against_a_model(lambda: partial(SqliteDecisions.open, tmp_path_factory.mktemp("decisions"), {}))


@pytest.mark.xdist_group("postgres")
def test_a_database_keeps_what_it_is_given(server: str, tmp_path: Path) -> None:
    def new_log() -> Open:
        url = own_place(server)
        log = PostgresLog.open(url, tmp_path, bootstrap=True)
        log.close()
        return partial(PostgresDecisions, url, log.epoch, {})

    check_against_a_model(new_log)


@pytest.mark.xdist_group("postgres")
def test_a_store_that_another_took_over_from_writes_no_decisions(server: str, tmp_path: Path) -> None:
    url = own_place(server)
    before = PostgresLog.open(url, tmp_path, bootstrap=True)
    decisions = PostgresDecisions(url, before.epoch, {})
    after = PostgresLog.open(url, tmp_path)
    with pytest.raises(UnavailableError, match="another one took over"):
        decisions.put([record()])
    assert decisions.get(record().recommendation_id) is None
    for log in (before, after, decisions):
        log.close()


def test_an_id_tells_when_its_list_began_and_nothing_else_is_one() -> None:
    assert began_ms(new_id(1_234)) == began_ms(f"{new_id(1_234)}-7") == 1_234
    for other in ("rec_", "", new_id(1) + "-0", new_id(1) + "-1000", new_id(1) + "-~", new_id(1)[:-1], "x" + new_id(1)):
        assert began_ms(other) is None
    assert first_of(f"{new_id(1)}-2") != new_id(2)


def test_who_was_forgotten_before_the_log_was_opened_is_refused(tmp_path: Path) -> None:
    log = SqliteDecisions.open(tmp_path, {digest_of("u1"): 10_000})
    assert log.put([record(10_000 + CLOCKS_MS), record(10_001 + CLOCKS_MS), record(5, "u2")]) == [False, True, True]
    log.close()


def test_many_old_decisions_go_in_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_log, "AT_ONCE", 2)
    log = SqliteDecisions.open(tmp_path, {})
    log.put([record(1, lot=lot) for lot in range(3)] + [record(2)])
    assert [log.drop(2), log.drop(2)] == [True, False]
    assert [one.at_ms for one in log.of(["u1"])] == [2]
    log.close()


def test_a_full_disk_takes_no_decisions_and_goes_on_when_there_is_room(tiny_disk: Path) -> None:
    log = SqliteDecisions.open(tiny_disk, {})
    log.put([record(1)])
    with pytest.raises(StorageError, match="no space left"):
        log.put([record(2, lot=lot, content=b"x" * 100_000) for lot in range(20)])
    assert log.put([record(3)]) == [True]
    assert [one.at_ms for one in log.of(["u1"])] == [1, 3]
    log.close()


def test_a_file_that_is_none_is_said_to_be_in_the_way(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, and longer than a header of one would be" * 99)
    with pytest.raises(LogError, match="delete it"):
        SqliteDecisions.open(tmp_path, {})


def test_an_erasure_leaves_no_decision_of_a_person_or_their_guests(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, random_events(20))
        mine, guests, others = (record(1, one, content=one.encode(), lot=2) for one in (LONG, "guest", "other"))
        for lot, one in enumerate((mine, guests, others)):
            await store.decisions.put([one._replace(recommendation_id=f"{prefix(1)}{lot:016x}")])
        await store.merge(LONG, "guest")
        assert [one.user_id for one in (await store.export(LONG)).decisions] == [LONG, "guest"]
        assert traces(data, LONG) != []
        assert (await store.erase(LONG)).n_decisions == 2
        assert traces(data, LONG) == []
        assert (await store.export(LONG)).decisions == []
        late = [record(1, LONG, lot=8), record(1, "guest", lot=9)]
        assert await store.decisions.put(late) == [False, False]
        assert len((await store.export("other")).decisions) == 1
        await store.close()
        store = opened(bundle, data)
        assert await store.decisions.put(late) == [False, False]
        await store.close()
        assert traces(data, LONG) == []

    run(work())


def test_decisions_that_cannot_be_written_cost_no_event(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        store.decisions._log._connection.close()  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(Exception, match="closed database"):
            await store.decisions.put([record()])
        assert [ack.status for ack in (await send(store, [event("e1")])).acks] == ["applied"]
        await store.close()

    run(work())


@pytest.mark.parametrize(("keep_days", "left"), [(0.0, []), (10_000_000.0, ["u1"])])
def test_old_decisions_go_when_a_replica_asks(bundle: Path, data: Path, keep_days: float, left: list[str]) -> None:
    async def work() -> None:
        config = FAST.model_copy(update={"keep_decision_days": keep_days})
        store = Store.open(bundle, data, bootstrap=True, config=config)
        await store.decisions.put([record()])
        await store.changes(store.position, 0)
        running = store.decisions.retention.running
        assert running is not None
        await running
        assert [one.user_id for one in await store.decisions.of(["u1"])] == left
        await store.close()

    run(work())
