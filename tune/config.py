"""The settings of a sweep."""

import hashlib
import json
from pathlib import Path

from pydantic import Field

from cluster.config import Config
from train.config import FitRun
from train.session import fingerprint
from train.training_set import TrainingSet
from tune.spaces import Space


class SweepConfig(Config):
    """How many trials run, what they vary, and what becomes of the best."""

    name: str = Field(default="sweep", pattern=r"^[\w-]{1,40}$", description="first part of the result folder's name")
    out: str = Field(default="var/tune", description="folder that sweeps are written under")
    trials: int = Field(default=16, ge=2, le=10_000, description="settings tried, the given ones first")
    grace_epochs: int = Field(default=2, ge=1, description="epochs every trial may run before it can be stopped")
    reduction: int = Field(default=3, ge=2, description="one of so many trials goes on at each rung (ASHA's eta)")
    cpus_per_trial: int = Field(default=1, ge=1, description="cores, and so threads, of a trial")
    gpus_per_trial: float = Field(default=0, ge=0, le=8, description="share of a GPU that a trial takes")
    promote: bool = Field(default=False, description="train the best settings once more and publish their bundle")
    seed: int = Field(default=0, ge=0, description="of the search")
    space: Space = Field(min_length=1, description="setting → {low, high, log} or {choice: […]}")
    fit: FitRun = Field(description="the run that is varied; `epochs` is a trial's full budget")

    def folder(self, data: TrainingSet) -> Path:
        """Return where the sweep lies: the same trials on the same data lead to the same folder, and so resume."""
        trials = self.model_dump(mode="json", exclude={"promote", "out", "fit"})
        facts = json.dumps([trials, fingerprint(self.fit.model, self.fit.training, data)])
        return Path(self.out).absolute() / f"{self.name}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}"
