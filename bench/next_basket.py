"""The next basket of every household of Complete Journey: the engine beside what it must beat, one query per order.

    python -m bench.next_basket [data=complete_journey] [key=value … for fit]

Two baselines are computed again from the raw table, without the engine's code, to show that the pipeline asks fairly.
Writes bench/results/next_basket.json.
"""

import json
import sys
import tempfile
from pathlib import Path

from pydantic import Field

from bench.baskets import raw_baselines
from bench.commands import ROOT, print_rows, split_words, train_command
from cluster.config import Config
from cluster.storage import write_whole
from train.data.load import COMPLETE_JOURNEY

BASELINES = ("personal top", "popularity", "sequential rules")
SETTINGS = (f"config={ROOT / 'train/configs/complete_journey.yaml'}", "workers=0")  # those of the demo


class NextBasketConfig(Config):
    """What to learn from."""

    data: str = Field(default=COMPLETE_JOURNEY, description="as for `fit`; only complete_journey is checked again")


def main(words: list[str]) -> int:
    mine, passed = split_words(words, NextBasketConfig)
    config = NextBasketConfig.parse(mine)
    data = config.data if config.data == COMPLETE_JOURNEY else str(Path(config.data).resolve())
    with tempfile.TemporaryDirectory() as place:
        fit = train_command(Path(place), "fit", f"data={data}", *SETTINGS, *passed)
        manifest = json.loads((Path(place) / fit.named("bundle") / "manifest.json").read_text())
    rows, settings = manifest["metrics"], manifest["config"]
    k, holdout = settings["k"], settings["holdout"]
    if config.data == COMPLETE_JOURNEY:
        raw = raw_baselines(k, holdout["valid_fraction"], holdout["test_fraction"], settings["report_queries"])
        rows |= {f"{name}, from the raw table": metrics for name, metrics in raw.items()}
    best = max(BASELINES, key=lambda name: rows[name][f"ndcg@{k}"])
    gain = rows["liveshelf"][f"ndcg@{k}"] / rows[best][f"ndcg@{k}"] - 1
    shown = tuple(f"{name}@{k}" for name in ("recall", "ndcg", "repeat_recall", "explore_recall"))
    print_rows("next basket, one query per order", rows, shown)
    print(f"liveshelf over {best}: {gain:+.1%} NDCG  fit_wall_s={fit.wall_s}  fit_cpu_s={fit.cpu_s}")
    facts = {
        "rows": rows, "best_baseline": best, "ndcg_gain": round(gain, 4), "passed": passed,
        "cost": {"fit_wall_s": fit.wall_s, "fit_cpu_s": fit.cpu_s},
    }  # fmt: skip
    write_whole(ROOT / "bench/results/next_basket.json", json.dumps(facts, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
