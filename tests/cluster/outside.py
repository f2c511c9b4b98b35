"""What somebody outside a cluster sees of the server on it, and what runs on its nodes."""

import http.client
import itertools
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.client import Answer, Client
from bench.ledger import Ledger, audit, load
from bench.readers import Readers, Reads
from tests.cluster.launched import PORT, Cluster, wait_until
from tests.cluster.nodes import Node

ITEMS = [f"i{index}" for index in range(200)]
USERS = [f"u{index}" for index in range(50)]
GATEWAY, STORE = "ray::ServeReplica:liveshelf:Gateway", "ray::StoreActor"
ENOUGH_READS = 3_000  # to tell one that failed from one in a thousand
PATIENCE_S = 240  # until something is there, on a machine that is busy with other things too


def tell(line: str) -> None:
    print(f"\n  {line}", flush=True)


def asked(node: Node, key: str, path: str, **body: Any) -> Answer:
    """Return what a node's port answers."""
    client = Client(PORT, node.address, key=key)
    answer = client.post(path, body) if body else client.get(path)
    client.close()
    return answer


def ask(node: Node, key: str, path: str, **body: Any) -> Any:
    """Return the JSON of a good answer through a node's port."""
    answer = asked(node, key, path, **body)
    assert answer.status == 200, (node.name, answer)
    return answer.body


def status(node: Node, key: str) -> int:
    return asked(node, key, "/v1/recommendations", user="u1", count=3).status


def running(node: Node, title: str) -> list[int]:
    return [pid for pid, line in node.processes().items() if line.startswith(title)]


def told_to_balancers(node: Node) -> int:
    """Return with which status a node's port says whether it wants requests."""
    with closing(http.client.HTTPConnection(node.address, PORT, timeout=10)) as connection:
        connection.request("GET", "/-/healthz")
        return connection.getresponse().status


def gateways_answering(node: Node, key: str, n: int, besides: Set[str] = frozenset()) -> set[str]:
    """Return `n` gateways that answer through a node's port, as soon as each has done so once; besides: known ones."""
    found: set[str] = set()

    def are_enough() -> bool:
        answer = asked(node, key, "/readyz")
        found.update({answer.body["replica"]} - besides if answer.status == 200 else ())
        return len(found) >= n

    wait_until(are_enough, PATIENCE_S)
    return found


@dataclass
class Seen:
    """What became of events and reads; what was lost is known when the block has ended."""

    ledger: Ledger
    reads: Reads
    lost: int = -1  # acknowledged events that the server does not know any more
    renumbered: int = -1  # of those that it knows: with another version

    def require_acks(self) -> None:
        """Return when events are acknowledged which were sent after this was called."""
        assert self.ledger.wait_for_more(50, PATIENCE_S) < PATIENCE_S

    def __str__(self) -> str:
        total = self.reads.good + len(self.reads.failed)
        return (
            f"{self.lost} of {len(self.ledger.acks)} acknowledged events lost, {self.ledger.refusals} calls sent "
            f"again, {self.ledger.silence.longest_s:.1f} s without an ack; {self.reads.share_good:.3%} of {total} "
            f"reads were 200, {self.reads.silence.longest_s:.1f} s without one"
        )


_names = itertools.count()  # of callers, so that no id is sent twice


@contextmanager
def under_load(cluster: Cluster, key: str, senders: Sequence[Node], readers: Sequence[Node]) -> Iterator[Seen]:
    """Have events and requests for lists come through these nodes' ports while the block runs; look what is left."""
    with ExitStack() as stack:
        ledger = Ledger(ITEMS)
        for node in senders:
            stack.enter_context(load(PORT, ledger, 2, name=next(_names), host=node.address, key=key))
        reads = stack.enter_context(Readers([node.address for node in readers], PORT, USERS, key))
        seen = Seen(ledger, reads)
        seen.require_acks()
        yield seen
        seen.require_acks()
    seen.lost, seen.renumbered = audit(PORT, ledger, cluster.head.address, key)
