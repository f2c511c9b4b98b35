"""What a comparison measures: rows of three groups, each under every seed that it depends on."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.commands import ROOT, run_python
from bench.comparison.engine import engine_rows, measure_engine
from bench.comparison.families import FamilyRow, family_rows
from bench.comparison.held_out import HeldOut
from bench.comparison.ledger import Result, fingerprint_of
from bench.comparison.peers import PEERS, measure_peer
from train.data.source import DataConfig
from train.encoders.items import ContentConfig
from train.loop import FitConfig

HERE = ROOT / "bench/comparison"


class AccuracyConfig(DataConfig):
    """What is compared, and on what; `training` and `features` go above what any row says."""

    families: str = Field(default="all", description="rows of families: all, none, or names with commas")
    engine: str = Field(default="all", description="rows of the whole engine: all, none, or names with commas")
    peers: bool = Field(default=True, description="whether plain counts beside the engine are rows, too")
    seeds: int = Field(default=1, ge=1, le=100, description="seeds of every row that depends on one")
    max_users: int = Field(default=30_000, ge=1, description="shoppers asked about; of more, a sample")
    sample_seed: int = Field(default=0, ge=0, description="of that sample")
    max_cpu_s: int = Field(default=3_600, ge=10, description="processor time that any one command may take")
    settings: str = Field(default=str(ROOT / "tune/configs"), description="folder of sweeps with families' settings")
    grids: str = Field(default=str(HERE / "grids.yaml"), description="what validation chooses for solved families")
    engine_settings: str = Field(default=str(HERE / "engine.yaml"), description="file of rows of the engine")
    again: bool = Field(default=False, description="measure finished rows once more")
    out: str = Field(default="", description="file of results; bench/results/accuracy_<data>.json when empty")
    training: FitConfig = FitConfig.parse([])
    features: ContentConfig = ContentConfig.parse([])

    @property
    def given(self) -> dict[str, Any]:
        """The groups of settings that the command line changed."""
        groups = {"training": self.training, "features": self.features}
        changed = {name: group.model_dump(mode="json", exclude_unset=True) for name, group in groups.items()}
        return {name: values for name, values in changed.items() if values}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One row under one seed."""

    group: str
    name: str
    seed: int
    fingerprint: str  # of its settings
    measure: Callable[[], Result]


def plan(config: AccuracyConfig, held: HeldOut, folder: Path) -> Iterator[Measurement]:
    """Yield all that is asked for; `folder` holds what `held.save` wrote."""
    base = config.training.seed
    seeds = range(base, base + config.seeds)
    sample = [config.max_users, config.sample_seed]
    for row in family_rows(config.families, config.settings, config.grids, config.given):
        key = fingerprint_of([sample, row.seeded(0).model_dump(mode="json")])
        for seed in seeds if row.is_random else seeds[:1]:
            work = partial(measure_apart, row.seeded(seed), folder, config.max_cpu_s)
            yield Measurement(group="families", name=row.name, seed=seed, fingerprint=key, measure=work)
    for name, row in engine_rows(config.engine, config.engine_settings, config.given).items():
        key = fingerprint_of([sample, row.model_dump(mode="json")])
        for seed in seeds:
            work = partial(measure_engine, row, seed, folder, config.max_cpu_s)
            yield Measurement(group="engine", name=name, seed=seed, fingerprint=key, measure=work)
    for name, fit in PEERS.items() if config.peers else ():
        work = partial(measure_peer, fit, held)
        yield Measurement(group="peers", name=name, seed=base, fingerprint=fingerprint_of(sample), measure=work)


def measure_apart(row: FamilyRow, held: Path, max_cpu_s: int) -> Result:
    """Return how a family does, measured in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        job, out = Path(place) / "job.json", Path(place) / "result.json"
        job.write_text(json.dumps({"held": str(held), "out": str(out), "row": row.model_dump(mode="json")}))
        run_python(ROOT, "-m", "bench.comparison.job", str(job), max_cpu_s=max_cpu_s)
        return json.loads(out.read_text())
