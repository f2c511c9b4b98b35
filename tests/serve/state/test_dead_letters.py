"""What is refused for what it says is kept for a while, and never at the price of a good event."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import LogError, StorageError
from serve.state import dead_letters
from serve.state.config import StoreConfig
from serve.state.dead_letters import DeadLetter
from serve.state.events import UNKNOWN, Event, Problem
from serve.state.store import Store
from tests.serve.state.state_world import FAST, N_ITEMS, event, opened, run, send, write_small_bundle

ANY_TEXT = st.text(st.characters(), max_size=20)


def later(event_id: str, user_id: str = "u0") -> Event:
    """Return a click on an item that is not in the catalogue yet."""
    return event(event_id, user_id, UNKNOWN, item_id="later", payload='{"price":2.5}')


async def ids(store: Store) -> list[str]:
    return [letter.event_id for letter in await store.dead_letters()]


@given(texts=st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), payload=ANY_TEXT, value=st.floats())
def test_whatever_an_event_says_its_letter_is_plain_text(
    texts: tuple[str, str, str], payload: str, value: float
) -> None:
    event_id, user_id, item_id = texts
    one = event(event_id, user_id, item_id=item_id, payload=payload, value=value)
    letter = DeadLetter.of(one, Problem(422, item_id), 7)
    for text in (letter.event_id, letter.user_id, letter.reason, letter.content):
        assert "\x00" not in text.encode().decode()
    assert json.loads(letter.content)["type"] == "click"
    assert json.loads(letter.as_line())["at"] == "1970-01-01T00:00:00.007+00:00"


@pytest.mark.parametrize("payload", [json.dumps({"text": "x" * 200_000}), "no JSON", "[]", "7"])
def test_what_is_too_large_or_broken_is_told_without_it(payload: str) -> None:
    letter = DeadLetter.of(event("e1", "u" * 1_000_000, payload=payload), Problem(422, "large"), 7)
    assert json.loads(letter.content)["id"] == "e1"
    assert len(letter.content) < 1_000
    assert len(letter.user_id) == 128


def test_an_event_of_tomorrows_item_is_kept_until_it_was_sent_again(bundle: Path, data: Path, tmp_path: Path) -> None:
    after = write_small_bundle(tmp_path / "after", "b2", [*(f"i{index}" for index in range(N_ITEMS)), "later"])

    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("good"), later("e1"), event("good", item_idx=4), event("bad", weight=float("nan"))])
        assert [(one.event_id, one.status) for one in await store.dead_letters()] == [
            ("e1", 422), ("good", 409), ("bad", 422),
        ]  # fmt: skip
        await store.close()
        store = opened(after, data)
        [letter, *_] = await store.dead_letters()
        assert "'later' is not in the catalogue of bundle b1" in letter.reason
        again = json.loads(letter.content)
        assert again == {
            "id": "e1",
            "type": "click",
            "user": "u0",
            "item": "later",
            "price": 2.5,
            "time": again["time"],
        }
        await send(store, [event(again["id"], again["user"], N_ITEMS, item_id=again["item"])])
        assert await ids(store) == ["good", "bad"]
        await store.close()

    run(work())


def test_the_newest_are_kept_each_id_once(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data, StoreConfig(learner=FAST.learner, dead_letters=3))
        await send(store, [later(f"e{number}") for number in range(5)])
        assert await ids(store) == ["e2", "e3", "e4"]
        await send(store, [later("e3"), later("e5")])
        assert await ids(store) == ["e4", "e3", "e5"]
        await store.close()

    run(work())


@pytest.mark.parametrize("error", [StorageError("no space left"), LogError("failed")])
def test_letters_that_cannot_be_written_cost_the_good_events_nothing(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def work() -> None:
        def fail(*_: Any) -> None:
            raise error

        store = opened(bundle, data)
        with monkeypatch.context() as patched:
            patched.setattr(store._machine.log.letters, "put", fail)
            assert [ack.status for ack in (await send(store, [event("e1"), later("e2")])).acks] == [
                "applied", "rejected",
            ]  # fmt: skip
            assert await ids(store) == []
        await send(store, [later("e3")])
        assert await ids(store) == ["e3"]
        await store.close()

    run(work())


def test_letters_are_written_by_themselves(bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "WRITE_S", 0.0)

    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [later("e1")])
        writing = store._outbox._writing
        assert writing is not None
        await writing
        assert [letter.event_id for letter in store._machine.log.letters.all()] == ["e1"]
        await store.close()

    run(work())


@pytest.mark.parametrize("written", [True, False])
def test_an_erasure_reaches_the_letters(bundle: Path, data: Path, written: bool) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [later("e1", "marguerite"), later("e2", "guest"), later("e3", "other")])
        if written:
            await store.dead_letters()
        await store.merge("marguerite", "guest")
        assert [letter.event_id for letter in (await store.export("marguerite")).letters] == ["e1", "e2"]
        await store.erase("marguerite")
        assert await ids(store) == ["e3"]
        assert (await store.export("marguerite")).letters == []
        await store.close()
        assert not any(b"marguerite" in path.read_bytes() for path in data.iterdir())

    run(work())
