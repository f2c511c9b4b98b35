"""Diversity: what lists lose in accuracy, and gain in variety, the more unlike their items are asked to be.

    python -m bench.diversity [data=complete_journey | data=<folder>] [bundle=<registry>] [key=value … for fit]

Asks held-out orders of a shop for the ten best items, arranged by the code that serves. `bundle=` keeps the bundle for
the next run, which takes a minute without the fit. Writes bench/results/diversity_<data>.json.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from bench.commands import print_rows, split_words
from bench.next_basket import SETTINGS
from bench.report import keep
from cluster.config import Config
from serve.stages.arranging.arrange import POOL
from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.laws import draws_of
from serve.stages.arranging.room import Limits
from serve.stages.arranging.slots import Pool, filled
from serve.stages.directions import directions
from train.bundle import Bundle, read_bundle
from train.config import FitRun
from train.data.load import COMPLETE_JOURNEY
from train.data.prepared import Prepared
from train.data.source import prepare_data
from train.data.split import make_split
from train.evaluation.measure import measure_rows
from train.evaluation.offline import asked
from train.evaluation.summary import HALF_WIDTH, Table, summarise
from train.models.candidates import Candidates
from train.models.item_state import ItemState, recounted
from train.models.prospect import Prospect
from train.pipeline import fit_bundle, sampled
from train.recommender import Lookup, ranked
from train.registry import Registry

DIVERSITIES = (0.0, 0.1, 0.2, 0.3, 0.5)
TIMED = 300  # lists


class DiversityConfig(Config):
    """What is learned from, and how many are asked."""

    data: str = Field(default=COMPLETE_JOURNEY, description="as for `fit`")
    bundle: str = Field(default="", description="registry that keeps the bundle; none when empty")
    queries: int = Field(default=1_000, ge=1, description="held-out orders that are asked about")


def arranged(candidates: Candidates, state: ItemState, diversity: float, k: int) -> Candidates:
    """Return the k items of a slate, the first one scored highest."""
    best = candidates.best(POOL)
    pool = Pool(
        item_idx=best.item_idx, worth=best.score.astype(np.float64), n_events=state.popularity[best.item_idx],
        direction=directions(state.vectors[best.item_idx]), limits=Limits(), open_at_once=POOL,
    )  # fmt: skip
    chosen = filled(pool, k, ScenarioConfig(diversity=diversity), draws_of("", k)).chosen
    return best.take(chosen).scored(-np.arange(len(chosen), dtype=np.float32))


def measured(bundle: Bundle, settings: FitRun, prepared: Prepared, n_queries: int) -> tuple[Table, float]:
    """Return how lists of each diversity do, and how many milliseconds one of 20 items takes to arrange."""
    split = make_split(
        bundle.critic.told(prepared.interactions, prepared.reviews), settings.holdout, prepared.has_clock
    )
    state, k = recounted(bundle.state, split.counted, prepared.has_clock), settings.k
    some: list[Candidates] = []

    def rank(_: Lookup, prospects: list[Prospect]) -> dict[str, list[Candidates]]:
        found = ranked(prospects, state, bundle.ranker)
        some.extend(found)
        return {named(one): [arranged(each, state, one, k) for each in found] for one in DIVERSITIES}

    ask = partial(asked, bundle.model, state, bundle.sources, split.history)
    queries = sampled(split.test, n_queries)
    evaluation = measure_rows(rank, state, ask, queries, True, k, prepared.catalogue)
    began = time.process_time()
    for one in some[:TIMED]:
        arranged(one, state, 0.2, 20)
    return summarise(evaluation), (time.process_time() - began) / len(some[:TIMED]) * 1_000


def named(diversity: float) -> str:
    """Return the name of a row."""
    return f"diversity {diversity:g}"


def main(words: list[str]) -> int:
    mine, passed = split_words(words, DiversityConfig)
    config = DiversityConfig.parse(mine)
    data = config.data if config.data == COMPLETE_JOURNEY else str(Path(config.data).resolve())
    with tempfile.TemporaryDirectory() as place:
        settings = FitRun.parse([
            f"data={data}", *SETTINGS, f"registry={config.bundle or Path(place) / 'registry'}",
            f"checkpoints={Path(place) / 'checkpoints'}", *passed,
        ])  # fmt: skip
        prepared, registry = prepare_data(settings), Registry(settings.registry)
        folder = registry.find("current") if registry.versions() else fit_bundle(settings, prepared).folder
        table, cost_ms = measured(read_bundle(folder), settings, prepared, config.queries)
    k = settings.k
    shown = (f"ndcg@{k}", f"recall@{k}", f"diversity@{k}", f"coverage@{k}", f"novelty@{k}")
    print_rows(f"{config.queries} held-out orders", table, shown)
    print(f"one list of 20 arranged: {cost_ms:.2f} ms of a core")
    rows = {name: {metric: row[metric] for metric in (*shown, f"ndcg@{k}{HALF_WIDTH}")} for name, row in table.items()}
    keep(f"diversity_{Path(data).name}", {
        "queries": config.queries, "rows": rows, "arranging_20_ms": round(cost_ms, 3), "passed": passed
    })  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
