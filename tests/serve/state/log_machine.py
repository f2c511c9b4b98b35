"""What every event log must do, whatever keeps it: a random session against a list and a dict."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cluster.errors import LogError
from serve.state.admission import fingerprint
from serve.state.completion import draft
from serve.state.dead_letters import DeadLetter
from serve.state.event_log import EventLog, LogEntry, silenced
from serve.state.events import MERGE, TRAITS, WRITES, Event, MicroBatch, Problem, Write
from serve.state.shoppers import digest_of
from serve.state.writing import WriteRequest, entry_of
from tests.serve.state.state_world import DIM, event, vectors_for

TOLD = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
PRINTED = st.characters(exclude_categories=("Cc", "Cs"))  # what admission lets into ids


class OpenLog(Protocol):
    """Opens one and the same log, again and again."""

    def __call__(self, *, bootstrap: bool = False) -> EventLog: ...


def written(log: EventLog, events: list[Event], bundle: str = "b1") -> MicroBatch:
    """Append events, return their batch."""
    batch = draft(events, vectors_for(events), log.last_seq + 1)
    log.append(bundle, batch, [LogEntry(one, f"i{one.item_idx}", fingerprint(one, "i")) for one in events])
    return batch


class LogMachine(RuleBasedStateMachine):
    """The log against a list and a dict."""

    def __init__(self, open_log: OpenLog) -> None:
        super().__init__()
        self.open = open_log
        self.log = open_log(bootstrap=True)
        self.batches: list[MicroBatch] = []
        self.bundles: dict[int, str] = {}  # version → bundle
        self.last_seq = 0
        self.seqs: dict[str, int] = {}
        self.letters: list[DeadLetter] = []

    @rule(
        size=st.integers(1, 6), item_idx=st.integers(-1, 9), user_id=st.text(PRINTED, min_size=1, max_size=5),
        bundle=st.sampled_from(["b1", "b2"]), time=st.integers(0, 9),
        event_type=st.sampled_from(["click", "click", "click", MERGE]),
    )  # fmt: skip
    def append(self, size: int, item_idx: int, user_id: str, bundle: str, time: int, event_type: str) -> None:
        first = self.log.last_seq + 1
        events = [
            event(f"e{first + offset}", user_id, item_idx, event_type=event_type, timestamp_ms=time + offset)
            for offset in range(size)
        ]
        self.batches.append(written(self.log, events, bundle))
        self.bundles[self.batches[-1].version] = bundle
        self.last_seq += size
        self.seqs |= {one.event_id: first + offset for offset, one in enumerate(events)}

    @rule(contents=st.lists(st.text(TOLD), min_size=1, max_size=3), kinds=st.permutations(sorted(WRITES)))
    def write(self, contents: list[str], kinds: list[str]) -> None:
        first = self.log.last_seq + 1
        writes = tuple(Write(kinds[number], f"i{number}", content) for number, content in enumerate(contents))
        entries = [
            entry_of(WriteRequest(f"w{first + place}", write, None), 7) for place, write in enumerate(writes)
        ]  # fmt: skip
        batch = draft([entry.event for entry in entries], np.ones((len(writes), DIM), np.float32), first, writes)
        self.log.append("b1", batch, entries)
        self.batches.append(batch)
        self.bundles[batch.version] = "b1"
        self.last_seq = batch.version
        self.seqs |= {f"w{first + place}": first + place for place, one in enumerate(writes) if one.kind == TRAITS}

    @rule()
    def reopen(self) -> None:
        epoch = self.log.epoch
        self.log.close()
        self.log = self.open()
        assert self.log.epoch == epoch + 1

    @precondition(lambda self: self.seqs)
    @rule(data=st.data())
    def a_repeated_id_changes_nothing(self, data: st.DataObject) -> None:
        known = data.draw(st.sampled_from(sorted(self.seqs)))
        with pytest.raises(LogError, match="restart the store"):
            written(self.log, [event("fresh"), event(known)])
        with pytest.raises(LogError, match="takes no events"):
            written(self.log, [event("fresh")])
        self.reopen()

    @rule(after=st.integers(0, 20))
    def read(self, after: int) -> None:
        found = [logged.batch for logged in self.log.read(after)]
        expected = [batch for batch in self.batches if batch.version > after]
        assert [batch.version for batch in found] == [batch.version for batch in expected]
        for one, other in zip(found, expected, strict=True):
            assert (one.user_ids, one.order_keys, one.writes) == (other.user_ids, other.order_keys, other.writes)
            for name in ("item_idx", "weight", "timestamp_ms", "same_order", "standing", "previous", "vectors"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
                assert getattr(one, name).dtype == getattr(other, name).dtype

    @precondition(lambda self: self.seqs)
    @rule(data=st.data())
    def silence(self, data: st.DataObject) -> None:
        gone = data.draw(st.sets(st.sampled_from(sorted(self.seqs)), min_size=1, max_size=3))
        seqs = sorted(self.seqs[event_id] for event_id in gone)
        revision = self.log.revision
        self.log.silence(seqs, ["gone"], 7)
        self.batches = [silenced(batch, seqs) for batch in self.batches]
        self.letters = [one for one in self.letters if one.user_id != "gone"]
        for event_id in gone:
            del self.seqs[event_id]
        assert self.log.revision == revision + 1
        assert self.log.forgotten == {digest_of("gone"): 7}

    @rule(latest_ms=st.integers(0, 12))
    def let_go(self, latest_ms: int) -> None:
        def goes(batch: MicroBatch) -> bool:
            is_old = not (WRITES | {MERGE}) & set(batch.event_types) and int(batch.timestamp_ms.max()) <= latest_ms
            return is_old and self.bundles[batch.version] != "b2" and batch.version < self.last_seq

        stretch = self.log.removals.stretch("b2", 0, self.last_seq, latest_ms)
        gone = [batch for batch in self.batches if goes(batch)]
        seqs = {
            seq for span in (stretch.outdated if stretch else []) for seq in range(span.first_seq, span.version + 1)
        }
        assert seqs == {row.seq for batch in gone for row in batch.rows()}
        if stretch is not None and stretch.outdated:
            self.log.removals.remove(stretch.outdated)
        self.batches = [batch for batch in self.batches if not goes(batch)]
        self.letters = [one for one in self.letters if one.status == 409 or self.seqs.get(one.event_id) not in seqs]
        self.seqs = {event_id: seq for event_id, seq in self.seqs.items() if seq not in seqs}

    @rule(after=st.integers(0, 40))
    def tells_where_the_next_batch_begins(self, after: int) -> None:
        later = [batch.first_seq for batch in self.batches if batch.version > after]
        assert self.log.next_seq(after) == (later[0] if later else self.last_seq + 1)

    @rule(
        event_id=st.sampled_from(["e1", "e2", "x", "\0", "\ud800"]), user_id=st.sampled_from(["gone", "u", "\0\ud800"]),
        status=st.sampled_from([409, 422]), text=st.text(st.characters(), max_size=3),
    )  # fmt: skip
    def refuse(self, event_id: str, user_id: str, status: int, text: str) -> None:
        letter = DeadLetter.of(event(event_id, user_id, payload=text), Problem(status, text), 7)
        self.log.letters.put([letter], newest=3)
        others = [one for one in self.letters if one.event_id != letter.event_id]
        self.letters = [*others, letter][-3:]

    @invariant()
    def tells_the_newest_letters_of_events_that_never_came_in(self) -> None:
        told = [one for one in self.letters if one.status == 409 or one.event_id not in self.seqs]
        assert self.log.letters.all() == told
        assert self.log.letters.of(["u"]) == [one for one in self.letters if one.user_id == "u"]

    @rule(user_id=st.text(PRINTED, min_size=1, max_size=1))
    def tells_a_shoppers_events(self, user_id: str) -> None:
        expected = [
            batch.first_seq + place
            for batch in self.batches for place, one in enumerate(batch.user_ids) if one == user_id
        ]  # fmt: skip
        assert [told.seq for told in self.log.events_of(user_id)] == expected

    @invariant()
    def knows_what_it_was_given(self) -> None:
        known = self.log.known([*self.seqs, "never"])
        assert {event_id: seq for event_id, (seq, _) in known.items()} == self.seqs
        assert self.log.last_seq == self.last_seq
        removals = self.log.removals
        assert removals.first_seq == (self.batches[0].first_seq if removals.last_seq else 0)

    def teardown(self) -> None:
        self.log.close()


def check_against_a_model(new_log: Callable[[], OpenLog]) -> None:
    """Run random sessions, each on a log of its own."""

    class Session(LogMachine):
        def __init__(self) -> None:
            super().__init__(new_log())

    run_state_machine_as_test(Session, settings=settings(max_examples=20, stateful_step_count=12, deadline=None))
