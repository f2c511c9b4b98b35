"""The engine as it serves, without its edges: events go through the store's state machine, questions to its stages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.online.stream import Log, Question
from serve.state.events import Event
from serve.state.live import LearnerConfig
from serve.state.machine import StateMachine
from serve.state.request import Request
from serve.state.sqlite_log import SqliteLog
from train.bundle import Bundle
from train.models.candidates import Candidates
from train.models.item_state import ItemState
from train.models.shopper import History
from train.recommender import prospects, ranked

COMMITTED = 512  # events in a commit, at most


class LiveEngine:
    """A bundle that a log carries forward."""

    def __init__(self, bundle: Bundle, log: Log, folder: Path, config: LearnerConfig) -> None:
        """Start with an empty event log in `folder`."""
        self.bundle, self._log = bundle, log
        self.machine = StateMachine(bundle, SqliteLog.open(folder, bootstrap=True), config)
        self.place = log.begin  # of the next row to learn
        self.cpu_s = {"encode": 0.0, "learn": 0.0, "answer": 0.0}
        self.answered = 0

    @property
    def items(self) -> ItemState:
        """The live state of the items."""
        return self.machine.state.items

    def learn_until(self, place: int) -> None:
        """Commit all rows before a place, in the order in which they happened."""
        while self.place < place:
            end = min(place, self.place + COMMITTED)
            places = range(self.place, end)
            with self._timed("encode"):
                vectors = self.vectors([self._log.history(one) for one in places])
            with self._timed("learn"):
                self.machine.commit([Request([self._event(one) for one in places], vectors)])
            self.place = end

    def history(self, question: Question) -> History:
        """Return what the store knows now of the question's shopper; open where the question is within an order."""
        event = self._event(question.place)
        shopper = self.machine.shoppers.get(event.user_id)
        return replace(shopper.history, is_open=shopper.in_order(event.order_key), asked_ms=event.timestamp_ms)

    def vectors(self, histories: list[History]) -> np.ndarray:
        """Return h_u (n, d), zeros for strangers."""
        found = np.zeros((len(histories), self.items.vectors.shape[1]), np.float32)
        known = [at for at, history in enumerate(histories) if not history.is_stranger]
        if known:
            found[known] = self.bundle.model.encode_shoppers([histories[at] for at in known])
        return found

    def slate(self, history: History, items: ItemState) -> Candidates:
        """Return the scored candidates of a shopper over a state of the items."""
        bundle = self.bundle
        with self._timed("answer"):
            [found] = prospects(bundle.model, items, bundle.sources, [history], bundle.manifest.keep_seen)
            slate = ranked(found, items, bundle.ranker)[0]
        self.answered += 1
        return slate

    def cost(self) -> dict[str, float]:
        """Return CPU milliseconds per event and per answer."""
        learned = max(self.place - self._log.begin, 1)
        return {
            "encode_ms_per_event": 1e3 * self.cpu_s["encode"] / learned,
            "learn_ms_per_event": 1e3 * self.cpu_s["learn"] / learned,
            "answer_ms": 1e3 * self.cpu_s["answer"] / max(self.answered, 1),
        }

    def close(self) -> None:
        """Let go of the event log."""
        self.machine.log.close()

    def _event(self, place: int) -> Event:
        row, rows = int(self._log.row_at[place]), self._log.rows
        return Event(
            event_id=str(place), user_id=self._user_id(int(rows.user_idx[row])), item_idx=int(rows.item_idx[row]),
            event_type="event", weight=float(rows.weight[row]), timestamp_ms=int(rows.timestamp_ms[row]),
            order_key=str(rows.order_idx[row]),
        )  # fmt: skip

    def _user_id(self, user_idx: int) -> str:
        return str(self._log.rows.user_ids[user_idx])

    @contextmanager
    def _timed(self, work: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.cpu_s[work] += time.process_time() - start
