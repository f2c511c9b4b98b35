"""Reports: the metrics that each process told last, so that whoever is asked can tell those of all."""

import time
from collections.abc import Callable

from serve.metrics import Metrics, Values
from serve.state.group_commit import GroupCommit
from serve.state.machine import StateMachine

REPORT_S = 5.0  # between two reports of a process
STALE_S = 3 * REPORT_S  # after which a process is taken for gone


class Reports:
    """The newest report of each process, and the store's own."""

    def __init__(self, values: Callable[[], Values]) -> None:
        """Begin; values: the store's, of the moment."""
        self._values, self._metrics = values, Metrics("store")
        self._told: dict[str, tuple[float, str]] = {}

    async def put(self, process: str, text: str) -> None:
        """Take a report in place of the one before."""
        self._told[process] = time.monotonic(), text

    async def others(self, process: str) -> list[str]:
        """Return what the store and processes other than this one told of late, and forget those that are gone."""
        oldest = time.monotonic() - STALE_S
        self._told = {name: told for name, told in self._told.items() if told[0] >= oldest}
        told = [text for name, (_, text) in self._told.items() if name != process]
        return [self._metrics.text(self._values()), *told]


def store_values(machine: StateMachine, queue: GroupCommit) -> Values:
    """Return what there is to say of a store now."""
    return {
        "liveshelf_store_version": (machine.state.version, "Version of the state: events applied."),
        "liveshelf_store_log_version": (machine.log.last_seq, "Version of the log: events on the disk."),
        "liveshelf_store_epoch": (machine.log.epoch, "How often the log was opened."),
        "liveshelf_store_revision": (machine.log.revision, "How often a part of the log was silenced."),
        "liveshelf_store_behind": (float(machine.is_behind), "1 while the state is made anew."),
        "liveshelf_store_queued_events": (queue.n_events, "Events that wait for a commit."),
        "liveshelf_store_live_shoppers": (len(machine.shoppers.live), "Shoppers whom events changed."),
    }  # fmt: skip
