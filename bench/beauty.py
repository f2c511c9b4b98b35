"""Accuracy on Amazon Beauty under the literature's protocol, by the commands of a user and a scorer of our own.

    python -m bench.beauty data=<folder with interactions.parquet> [key=value … for fit]

Each user's last item is taken out before `fit` and `recommend` see the file. Writes bench/results/beauty.json.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from bench.commands import ROOT, print_rows, split_words, train_command
from bench.peers import Sequences, popularity_scores, rule_matrix, rule_scores
from bench.score import half_way_rank, score_queries
from cluster.config import Config
from cluster.storage import write_whole

K, LISTED = 10, 50
# Reported by the authors of S3-Rec (Zhou et al., 2020) and of eSASRec (Tikhonovich et al., 2025).
PUBLISHED = {
    "SASRec, BCE (published)": {"recall@10": 0.0605, "ndcg@10": 0.0318},
    "SASRec, sampled softmax (published)": {"recall@10": 0.0921, "ndcg@10": 0.0531},
    "eSASRec (published)": {"recall@10": 0.0928, "ndcg@10": 0.0523},
}


class BeautyConfig(Config):
    """Where the files are."""

    data: str = Field(description="folder with interactions.parquet (user_id, item_id, position) and items.parquet")


def hide_last(data: Path, folder: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Write the files without each user's last event; return what is left and the hidden item_id by user_id."""
    events = pd.read_parquet(data / "interactions.parquet", columns=["user_id", "item_id", "position"])
    events = events.astype({"user_id": str, "item_id": str}).sort_values(["user_id", "position"], ignore_index=True)
    is_last = ~events["user_id"].duplicated(keep="last")
    kept = events[~is_last].reset_index(drop=True)
    folder.mkdir()
    kept.to_parquet(folder / "interactions.parquet")
    (folder / "items.parquet").write_bytes((data / "items.parquet").read_bytes())
    return kept, events[is_last].set_index("user_id")["item_id"]


def ranks_in_lists(recommended: pd.DataFrame, hidden: pd.Series) -> list[list[float]]:
    """Return the rank of each user's hidden item in their list."""
    items = recommended.groupby("user_id")["item_id"].agg(list)
    scores = recommended.groupby("user_id")["score"].agg(np.array)
    return [[_rank(items[user], scores[user], item)] for user, item in zip(hidden.index, hidden, strict=True)]


def _rank(items: list[str], scores: np.ndarray, item: str) -> float:
    return half_way_rank(scores, scores[items.index(item)]) if item in items else float("inf")


def peers(kept: pd.DataFrame, hidden: pd.Series) -> dict[str, dict[str, float]]:
    """Return how popularity and sequential rules do, seen items left out."""
    codes, ids = pd.factorize(kept["item_id"])
    index = {item: code for code, item in enumerate(ids)}
    per_user = {user: list(rows) for user, rows in pd.Series(codes).groupby(kept["user_id"].to_numpy())}
    sequences: Sequences = [per_user[user] for user in hidden.index]
    truths = [index.get(item) for item in hidden]
    popular = popularity_scores(sequences, len(ids))
    rules = rule_matrix(sequences, len(ids))
    by_method = {"popularity": (popular.copy() for _ in sequences), "sequential rules": rule_scores(sequences, rules)}
    found = {}
    for name, scores in by_method.items():
        ranks = []
        for score, sequence, truth in zip(scores, sequences, truths, strict=True):
            score[sequence] = float("-inf")
            ranks.append([half_way_rank(score, score[truth]) if truth is not None else float("inf")])
        found[name] = score_queries(K, ranks)
    return found


def main(words: list[str]) -> int:
    mine, passed = split_words(words, BeautyConfig)
    config = BeautyConfig.parse(mine)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kept, hidden = hide_last(Path(config.data).resolve(), folder / "history")
        fit = train_command(folder, "fit", "data=history", "split=leave_one_out", "workers=0", *passed)
        recommend = train_command(folder, "recommend", "data=history", f"k={LISTED}", "out=recs.parquet")
        ours = score_queries(K, ranks_in_lists(pd.read_parquet(folder / "recs.parquet"), hidden))
    rows = {"liveshelf": ours} | peers(kept, hidden) | PUBLISHED
    cost = {
        "fit_wall_s": fit.wall_s, "fit_cpu_s": fit.cpu_s,
        "recommend_wall_s": recommend.wall_s, "recommend_cpu_s": recommend.cpu_s,
    }  # fmt: skip
    print_rows(f"Beauty, last item of {len(hidden):,} users, full ranking", rows, ("recall@10", "ndcg@10"))
    print("  ".join(f"{name}={value}" for name, value in cost.items()))
    facts = {"rows": rows, "cost": cost, "users": len(hidden), "passed": passed}
    write_whole(ROOT / "bench/results/beauty.json", json.dumps(facts, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
