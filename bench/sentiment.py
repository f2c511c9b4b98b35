"""How well a shop's texts are read: the critic's model, fitted on four fifths of some texts, asked about the others.

    python -m bench.sentiment data=<folder or parquet file> [seeds=3]

The table has `text` and `label`: positive, neutral and negative, or 1 and 0. `sides` is the share of good and bad texts
told apart, `kinds` that of all texts whose opinion lies in the right third. Writes bench/results/sentiment_<data>.json.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from bench.report import keep, show
from cluster.config import Config
from train.encoders.sentiment import fit_sentiment

OPINIONS = {"negative": -1.0, "neutral": 0.0, "positive": 1.0, "0": -1.0, "1": 1.0}
HELD_OUT = 5  # one text of so many


class SentimentConfig(Config):
    """What is read."""

    data: str = Field(description="a parquet file of texts, or the folder that holds one")
    seeds: int = Field(3, ge=1, description="ways to part the texts")


def measured(texts: np.ndarray, opinions: np.ndarray, seed: int) -> dict[str, float]:
    """Return how well the texts that fitting did not see are read, and what it took."""
    order = np.random.default_rng(seed).permutation(len(texts))
    held, known = np.split(order, [len(order) // HELD_OUT])
    begin = time.process_time()
    model = fit_sentiment(texts[known].tolist(), opinions[known], seed)
    fitted = time.process_time()
    read = np.array([model.of(text) or 0.0 for text in texts[held].tolist()])
    asked = time.process_time()
    truth = opinions[held]
    _, counts = np.unique(truth, return_counts=True)
    return {
        "sides": float(((read > 0) == (truth > 0))[truth != 0].mean()),
        "kinds": float((np.sign(np.round(1.5 * read)) == truth).mean()),
        "most frequent": float(counts.max() / len(held)),
        "fit_cpu_s": fitted - begin, "read_us": (asked - fitted) / len(held) * 1e6,
    }  # fmt: skip


def main(words: list[str]) -> int:
    config = SentimentConfig.parse(words)
    place = Path(config.data)
    frame = pd.read_parquet(place if place.is_file() else next(iter(sorted(place.glob("*.parquet")))))
    texts, opinions = frame["text"].to_numpy(object), frame["label"].astype(str).map(OPINIONS).to_numpy(float)
    rows = [measured(texts, opinions, seed) for seed in range(config.seeds)]
    mean = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}
    show(f"{place.resolve().stem}: {len(frame):,} texts, {config.seeds} seeds", [mean])
    keep(f"sentiment_{place.resolve().stem}", {"texts": len(frame), "seeds": config.seeds, "mean": mean, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
