"""Replay: what the log comes to up to any event, and without anybody; the log itself stays as it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.errors import UnprocessableError
from serve.state.course import Course
from serve.state.folder import opened_log
from serve.state.live import LearnerConfig
from serve.state.snapshot import Snapshot
from train.bundle_state import read_bundle_state


class Replayed(NamedTuple):
    """A state that could have been."""

    snapshot: Snapshot  # sealed
    n_silent: int  # events that said nothing


def replay(
    bundle_folder: Path, data_folder: Path, until: int | None = None, exclude_users: Sequence[str] = (),
    learner: LearnerConfig | None = None,
) -> Replayed:  # fmt: skip
    """Return the state as of event `until` (the newest when None), as if some shoppers had never been there.

    Whoever was merged into one of them was not there, either. It begins at the newest snapshot that is old enough.
    Raises LogError where a running store has the log, UnprocessableError for an event that is not there yet.
    """
    bundle = read_bundle_state(bundle_folder)
    with opened_log(bundle_folder, data_folder) as log:
        if until is not None and not 0 <= until <= log.last_seq:
            raise UnprocessableError(f"until={until} is not between 0 and {log.last_seq}, the newest event")
        people = [one for user_id in exclude_users for one in log.person(user_id)]
        silent = sorted({event.seq for one in people for event in log.events_of(one)})
        last = log.last_seq if until is None else until
        course = Course.begin(bundle, log, learner or LearnerConfig(), min([last, *[seq - 1 for seq in silent]]))
        if course.state.version < last:
            course.advance(log, last, silent)
        return Replayed(course.snapshot(log).sealed(), sum(seq <= course.state.version for seq in silent))
