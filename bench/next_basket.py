"""The next basket of a shop that people come back to: the engine beside what it must beat, one query per order.

    python -m bench.next_basket [data=complete_journey | data=<folder>] [key=value … for fit]

Prints the lists as they are, as discovery lists that leave out what the shopper had, and mixed. On Complete Journey two
baselines are computed again from the raw table, without the engine's code, to show that the pipeline asks fairly.
Writes bench/results/next_basket_<data>.json.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

from pydantic import Field

from bench.basket_report import as_facts, print_facts
from bench.baskets import raw_baselines
from bench.commands import ROOT, split_words, train_command
from bench.report import keep
from bench.tifu import best_tifu
from cluster.config import Config
from train.bundle import Bundle, read_bundle
from train.config import FitRun
from train.data.load import COMPLETE_JOURNEY
from train.data.source import prepare_data
from train.data.split import make_split
from train.evaluation.baskets import basket_rows
from train.evaluation.measure import all_of, measure_rows
from train.evaluation.offline import asked
from train.evaluation.outcome import Evaluation
from train.models.closed_form.tifu_knn import TifuKnn
from train.models.item_state import recounted
from train.pipeline import sampled
from train.training_set import TrainingSet

SETTINGS = (f"config={ROOT / 'train/configs/complete_journey.yaml'}", "workers=0")  # those of the demo, for every shop


class NextBasketConfig(Config):
    """What to learn from, and what to compare with."""

    data: str = Field(default=COMPLETE_JOURNEY, description="as for `fit`; only complete_journey is checked again")
    n_new: int = Field(default=3, ge=0, le=10, description="places of the mixed list that are for new items")
    tifu_queries: int = Field(default=500, ge=1, description="validation queries that choose TIFU-KNN's settings")


def measured(bundle: Bundle, settings: FitRun, config: NextBasketConfig) -> tuple[Evaluation, TifuKnn]:
    """Return how every row does on the bundle's test queries, and the TIFU-KNN that validation chose."""
    prepared = prepare_data(settings)
    told = bundle.critic.told(prepared.interactions, prepared.reviews)
    split = make_split(told, settings.holdout, prepared.has_clock)
    data = TrainingSet(train=split.train, n_items=prepared.catalogue.n_items)
    tifu = best_tifu(data, split.history, sampled(split.valid, config.tifu_queries))
    queries = sampled(split.test, settings.report_queries)
    state = recounted(bundle.state, split.counted, prepared.has_clock)
    rows = basket_rows(state, bundle.ranker, tifu, settings.k, config.n_new)
    ask = partial(asked, bundle.model, state, bundle.sources, split.history)
    return measure_rows(all_of(rows), state, ask, queries, True, settings.k), tifu


def main(words: list[str]) -> int:
    mine, passed = split_words(words, NextBasketConfig)
    config = NextBasketConfig.parse(mine)
    data = config.data if config.data == COMPLETE_JOURNEY else str(Path(config.data).resolve())
    with tempfile.TemporaryDirectory() as place:
        fit = train_command(Path(place), "fit", f"data={data}", *SETTINGS, *passed)
        bundle = read_bundle(Path(place) / fit.named("bundle"))
        settings = FitRun.checked(bundle.manifest.config)
        evaluation, tifu = measured(bundle, settings, config)
    facts = as_facts(evaluation) | {
        "tifu_knn": tifu.config.model_dump(), "passed": passed, "queries": len(evaluation.queries),
        "cost": {"fit_wall_s": fit.wall_s, "fit_cpu_s": fit.cpu_s},
    }  # fmt: skip
    if config.data == COMPLETE_JOURNEY:
        holdout = settings.holdout
        facts["from_the_raw_table"] = raw_baselines(
            settings.k, holdout.valid_fraction, holdout.test_fraction, settings.report_queries
        )
    print_facts(facts)
    keep(f"next_basket_{Path(data).name}", facts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
