"""The settings of the store."""

from pydantic import Field

from cluster.config import Config
from serve.state.group_commit import QueueConfig
from serve.state.live import LearnerConfig


class StoreConfig(Config):
    """How the store groups, remembers and saves."""

    learner: LearnerConfig = LearnerConfig()
    queue: QueueConfig = QueueConfig()
    recent_events: int = Field(default=16_384, ge=1, description="events kept in memory for replicas that lag")
    snapshot_events: int = Field(
        default=10_000, ge=1, description="events between snapshots, replayed in about a second"
    )
    changes_events: int = Field(default=512, ge=1, description="a replica that lags gets about so many at once")
    catch_up_events: int = Field(
        default=64, ge=1, description="replayed at once after an erasure, while new events wait: some 5 ms"
    )
    dead_letters: int = Field(default=1_000, ge=1, description="refused events kept, the newest")
    keep_days: float | None = Field(
        default=None, ge=0, description="age at which events go that the bundle learned from; all stay when left out"
    )
    keep_decision_days: float = Field(
        default=30, ge=0, description="age at which what was shown, and why, is no longer known"
    )
    undo_hours: float = Field(default=24, ge=0, description="how long a merge of two shoppers can be taken back")
