"""Replay: what the log comes to up to any event, and without anybody; the log itself stays as it is."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cluster.errors import UnprocessableError
from serve.state.course import Course
from serve.state.event_log import EventLog
from serve.state.folder import opened_log
from serve.state.live import LearnerConfig
from serve.state.shoppers import AllShoppers
from serve.state.snapshot import Snapshot
from train.bundle_state import read_bundle_state


class Replayed(NamedTuple):
    """A state that could have been."""

    snapshot: Snapshot  # sealed
    shoppers: AllShoppers
    n_silent: int  # events that said nothing


def replay(
    bundle_folder: Path, data_folder: Path, until: int | datetime | None = None, exclude_users: Sequence[str] = (),
    learner: LearnerConfig | None = None,
) -> Replayed:  # fmt: skip
    """Return the state as of event `until` (the newest when None), as if some shoppers had never been there.

    until: a version, or a time, which means the last event that is not younger, and all before it.
    Whoever was merged into one of them was not there, either. It begins at the newest snapshot that is old enough.
    Raises LogError where a running store has the log, UnprocessableError for an event that is not there yet.
    """
    bundle = read_bundle_state(bundle_folder)
    with opened_log(bundle_folder, data_folder) as log:
        if isinstance(until, datetime):
            until = last_before(log, until)
        if until is not None and not 0 <= until <= log.last_seq:
            raise UnprocessableError(f"until={until} is not between 0 and {log.last_seq}, the newest event")
        people = [one for user_id in exclude_users for one in log.person(user_id)]
        silent = sorted({event.seq for one in people for event in log.events_of(one)})
        last = log.last_seq if until is None else until
        course = Course.begin(bundle, log, learner or LearnerConfig(), min([last, *[seq - 1 for seq in silent]]))
        if course.state.version < last:
            course.advance(log, last, silent)
        n_silent = sum(seq <= course.state.version for seq in silent)
        return Replayed(course.snapshot(log).sealed(), course.shoppers, n_silent)


def last_before(log: EventLog, time: datetime) -> int:
    """Return the version of the last event of `time` or before, 0 when there is none."""
    limit_ms, last = int(time.timestamp() * 1000), 0
    for logged in log.read(0):
        old = np.flatnonzero(logged.batch.timestamp_ms <= limit_ms)
        last = logged.batch.first_seq + int(old[-1]) if len(old) else last
    return last
