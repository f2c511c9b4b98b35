"""A state on its way along the log: recovery, an erasure and a look into the past all go the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serve.state.completion import complete
from serve.state.event_log import EventLog, LoggedBatch, silenced
from serve.state.events import MicroBatch, nobody_looked
from serve.state.image import item_arrays, read_shoppers, restore_items
from serve.state.learner import apply
from serve.state.live import LearnerConfig, LiveState, live_state
from serve.state.shoppers import AllShoppers
from serve.state.snapshot import FORMAT, Header, Moment, newest_snapshot
from train.bundle_state import BundleState
from train.data.schema import NO_ITEM


@dataclass(slots=True, kw_only=True)
class Course:
    """What a bundle and the log up to `state.version` come to."""

    state: LiveState
    shoppers: AllShoppers
    bundle: BundleState

    @classmethod
    def begin(cls, bundle: BundleState, log: EventLog, config: LearnerConfig, until: int | None = None) -> "Course":
        """Return the newest state that a snapshot holds, of version `until` at most, or the bundle's own."""
        shoppers = AllShoppers(bundle.histories, log.forgotten)
        state = live_state(bundle, shoppers, config)
        if (found := newest_snapshot(log.folder, history_name(log, state), until)) is not None:
            restore_items(state, found.arrays)
            shoppers.restore(read_shoppers(found.arrays))
            state.version = found.header.version
        return cls(state=state, shoppers=shoppers, bundle=bundle)

    def advance(self, log: EventLog, until: int | None = None, silent: Sequence[int] = ()) -> None:
        """Apply the logged batches that begin at or before seq `until`, or all; the events of `silent` say nothing."""
        for logged in log.read(self.state.version, until):
            told = logged._replace(batch=silenced(logged.batch, silent)) if len(silent) else logged
            own = told.bundle == self.state.bundle
            apply(self.state, told.batch if own else self._rebased(told))

    def snapshot(self, log: EventLog, room: Mapping[str, np.ndarray] | None = None) -> Moment:
        """Return the whole state as it is, its items copied into `room_for` them."""
        header = Header(
            format=FORMAT, lineage=history_name(log, self.state), epoch=log.epoch, version=self.state.version
        )
        return Moment(header, item_arrays(self.state, room), dict(self.shoppers.live))

    def completed(self, batch: MicroBatch) -> MicroBatch:
        """Return the next batch with what its shoppers did before."""
        return complete(batch, self.shoppers, self.state.items.transitions.config.window, self.state.config)

    def _rebased(self, logged: LoggedBatch) -> MicroBatch:
        """Return another bundle's batch in the words of this one; what this bundle was trained on counts no more.

        Its vectors lie in another space, so it makes no step.
        """
        batch, index = logged.batch, self.state.catalogue.index
        if batch.writes:
            return replace(batch, vectors=np.zeros((len(batch), self.state.items.vectors.shape[1]), np.float32))
        item_idx = np.array([index.get(item_id or "", NO_ITEM) for item_id in logged.item_ids], np.int64)
        item_idx[batch.timestamp_ms <= self.bundle.manifest.data_cutoff_ms] = NO_ITEM
        vectors = np.zeros((len(batch), self.state.items.vectors.shape[1]), np.float32)
        judged = nobody_looked(len(batch))  # that was the other bundle's figure
        return self.completed(replace(batch, item_idx=item_idx, vectors=vectors, judged=judged))


def history_name(log: EventLog, state: LiveState) -> str:
    """Name what a version counts in: the log, the bundle and the learning rule."""
    return f"{log.log_id}/{state.bundle}/{state.config.rule}"
