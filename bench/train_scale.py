"""What fitting costs as events grow: processor's time and peak memory of `train/run.py fit` on generated shops.

    python -m bench.train_scale [largest=10000000] [sizes=4] [key=value … of fit]

Each shop has twice the events of the one before, and so twice the items (a tenth of the events) and shoppers (a
twentieth). Every fit is a process of its own on one thread: it reads the files, trains one epoch, and publishes a
measured bundle. Writes bench/results/train_scale.json.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from bench.commands import ONE_THREAD, ROOT, split_words
from bench.report import keep, show
from cluster.config import Config

EVENTS_PER_ITEM, EVENTS_PER_SHOPPER = 10, 20
KIND = 100  # items of one kind, which is what a shopper keeps to
LOYALTY = 0.7  # share of events within the shopper's kind
START, SPAN_S = pd.Timestamp("2025-01-01"), 360 * 86_400
GIB = 2**30


class ScaleConfig(Config):
    """Which shops are fitted."""

    largest: int = Field(default=10_000_000, ge=10_000, description="events of the largest shop")
    sizes: int = Field(default=4, ge=2, le=8, description="shops, each twice the one before")
    seed: int = Field(default=0, ge=0, description="of the generated shops")


def main(words: list[str]) -> int:
    mine, passed = split_words(words, ScaleConfig)
    config = ScaleConfig.parse(mine)
    rows = []
    for size in range(config.sizes - 1, -1, -1):
        with tempfile.TemporaryDirectory() as place:
            n_events = config.largest >> size
            write_shop(Path(place) / "shop", n_events, config.seed)
            rows.append({"events": n_events, "items": n_events // EVENTS_PER_ITEM} | fit(Path(place), passed))
        show(f"{rows[-1]['events']:,} events done", [printed(row, rows[0]) for row in rows])
    keep("train_scale", {"rows": rows, "bench": config.model_dump(), "passed": passed})
    return 0


def write_shop(folder: Path, n_events: int, seed: int) -> None:
    """Write events.parquet and items.parquet of a shop whose shoppers keep to one kind of items."""
    rng = np.random.default_rng(seed)
    n_items, n_shoppers = n_events // EVENTS_PER_ITEM, n_events // EVENTS_PER_SHOPPER
    shopper = rng.integers(n_shoppers, size=n_events)
    kind = (shopper * 7919) % max(1, n_items // KIND)  # a prime, so that neighbours do not share one
    within = kind * KIND + (KIND * rng.random(n_events) ** 2).astype(np.int64)
    anywhere = (n_items * rng.random(n_events) ** 3).astype(np.int64)  # few items have most of the events
    item = np.where(rng.random(n_events) < LOYALTY, within, anywhere)
    second = np.sort(rng.integers(SPAN_S, size=n_events))
    folder.mkdir()
    events = {"user_id": shopper, "item_id": item, "timestamp": START + pd.to_timedelta(second, unit="s")}
    pd.DataFrame(events).assign(event_type="purchase").to_parquet(folder / "events.parquet")
    items = np.arange(n_items)
    titles = pd.Series(items // KIND).astype(str).radd("kind ") + " number " + pd.Series(items % KIND).astype(str)
    pd.DataFrame({"item_id": items, "title": titles}).to_parquet(folder / "items.parquet")


def fit(place: Path, words: list[str]) -> dict[str, Any]:
    """Fit one epoch as a user would, in a process of its own, and return what it took."""
    command = [sys.executable, str(ROOT / "train/run.py"), "fit", f"data={place / 'shop'}", "epochs=1", "workers=0"]
    began = time.perf_counter()
    with (place / "output").open("w") as output:
        process = subprocess.Popen([*command, *words], cwd=place, stdout=output, env=os.environ | ONE_THREAD)
        _, status, used = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(f"train/run.py fit ended with {code}: {(place / 'output').read_text()[-500:]}")
    return {
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "wall_s": round(time.perf_counter() - began, 1),
        "peak_gib": round(used.ru_maxrss * 1024 / GIB, 2),
    }


def printed(row: dict[str, Any], first: dict[str, Any]) -> dict[str, str]:
    """Return a row as it is shown, beside how many times the first one it is."""
    return {
        "events": f"{row['events']:,}",
        "items": f"{row['items']:,}",
        "CPU s": f"{row['cpu_s']:,.0f}",
        "µs/event": f"{row['cpu_s'] / row['events'] * 1e6:.0f}",
        "peak GiB": f"{row['peak_gib']:.2f}",
        "× events": f"{row['events'] / first['events']:.0f}",
        "× CPU s": f"{row['cpu_s'] / first['cpu_s']:.1f}",
        "× peak": f"{row['peak_gib'] / first['peak_gib']:.1f}",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
