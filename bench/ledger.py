"""A ledger outside the server: which events were acknowledged, and with which version."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.client import Client
from bench.silence import Silence

LOCAL = "127.0.0.1"
BATCH = 500
ATTEMPTS, PAUSE_S = 100, 0.02


@dataclass
class Ledger:
    """Acks by event id, written by several callers at once."""

    item_ids: list[str]
    acks: dict[str, int] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)
    refusals: int = 0  # answers that were no ack, each followed by a retry
    silence: Silence = field(default_factory=Silence)  # without an ack
    strange: list[str] = field(default_factory=list)  # answers about another event than the one sent, which are no acks

    def event(self, event_id: str) -> dict[str, Any]:
        """Return the event of an id; the same id has the same content each time."""
        caller, _, count = event_id.partition("-")
        item_id = self.item_ids[(int(count) * 7 + int(caller)) % len(self.item_ids)]
        return {"id": event_id, "type": "click", "user": f"ledger{caller}", "item": item_id}

    def write(self, event_id: str, version: int) -> None:
        """Note an ack."""
        with self.news:
            self.acks[event_id] = version
            self.silence.broken()
            self.news.notify_all()

    def wait_for_more(self, n: int, timeout_s: float) -> float:
        """Return the seconds until `n` more acks came, infinity when they did not."""
        started = time.perf_counter()
        with self.news:
            wanted = len(self.acks) + n
            came = self.news.wait_for(lambda: len(self.acks) >= wanted, timeout_s)
        return time.perf_counter() - started if came else float("inf")

    def require_more(self, n: int, timeout_s: float) -> float:
        """As `wait_for_more`; raise TimeoutError when they did not come."""
        if (waited_s := self.wait_for_more(n, timeout_s)) == float("inf"):
            raise TimeoutError(f"no {n} more acks within {timeout_s:.0f} s, after {len(self.acks)}")
        return waited_s


@contextmanager
def load(port: int, ledger: Ledger, callers: int, name: int = 0, host: str = LOCAL, key: str = "") -> Iterator[None]:
    """Send events from several callers for as long as the block runs; each is sent until it is acknowledged."""
    over = threading.Event()
    threads = [
        threading.Thread(target=_call, args=(Client(port, host, key=key), ledger, name * callers + caller, over))
        for caller in range(callers)
    ]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        yield


def audit(port: int, ledger: Ledger, host: str = LOCAL, key: str = "") -> tuple[int, int]:
    """Return how many acknowledged events the server does not know any more, and how many got another version."""
    client, lost, renumbered = Client(port, host, key=key), 0, 0
    event_ids = list(ledger.acks)
    for start in range(0, len(event_ids), BATCH):
        chosen = event_ids[start : start + BATCH]
        results = _sent_again(client, [ledger.event(event_id) for event_id in chosen])
        for event_id, result in zip(chosen, results, strict=True):
            lost += result["status"] != "duplicate"
            renumbered += result["status"] == "duplicate" and result["version"] != ledger.acks[event_id]
    client.close()
    return lost, renumbered


def _sent_again(client: Client, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what became of each event; a store that is away is asked again for a while."""
    for _ in range(ATTEMPTS):
        answer = client.post("/v1/events", {"events": events})
        if answer.status == 200:
            return answer.body["results"]
        time.sleep(PAUSE_S)
    raise RuntimeError(f"the audit was answered {answer}")


def _call(client: Client, ledger: Ledger, caller: int, over: threading.Event) -> None:
    count = 0
    while not over.is_set():
        event_id = f"{caller}-{count}"
        answer = client.post("/v1/events", ledger.event(event_id))
        told = answer.body["results"][0] if answer.status == 200 else {}
        if told.get("id") == event_id:
            ledger.write(event_id, told["version"])
            count += 1
        elif told:
            ledger.strange.append(f"{event_id} was answered {told}")
        else:
            ledger.refusals += 1
            over.wait(PAUSE_S)
    client.close()
