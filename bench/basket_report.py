"""What is said of lists of next baskets: every mean with its interval, and the engine against what it must beat."""

from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from train.evaluation.baskets import DISCOVERING, OTHERS, RULES, TIFU, discovery
from train.evaluation.bootstrap import compare
from train.evaluation.outcome import Evaluation
from train.evaluation.summary import ENGINE, row_intervals

SHOWN = ("ndcg", "recall", "repeat_recall", "explore_recall")
WIDTH = 140  # columns that the table needs, also where nobody looks at a terminal


def as_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return rows and comparisons as plain values.

    The engine meets the best baseline, then, as a discovery list, the rules' own list and every other discovery list.
    """
    k, found = evaluation.k, row_intervals(evaluation)
    best = max((*OTHERS, TIFU), key=lambda name: found[name][f"ndcg@{k}"].mean)
    pairs = [(f"ndcg@{k}", ENGINE, best), (f"recall@{k}", ENGINE, best)]
    explore, ours = f"explore_recall@{k}", discovery(ENGINE)
    pairs += (
        [(explore, ours, name) for name in (RULES, *map(discovery, DISCOVERING))] if explore in found[ENGINE] else []
    )
    return {
        "k": k, "queries": len(evaluation.queries), "best_baseline": best,
        "rows": {
            name: {
                f"{metric}@{k}": {"mean": one.mean, "low": one.low, "high": one.high}
                for metric in SHOWN if (one := row.get(f"{metric}@{k}")) is not None
            }
            for name, row in found.items()
        },
        "comparisons": [_duel(evaluation, *pair) for pair in pairs],
    }  # fmt: skip


def print_facts(facts: dict[str, Any]) -> None:
    """Print the table and a sentence for each comparison."""
    k = facts["k"]
    table = Table(
        title=f"next basket, {facts['queries']:,} orders", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column(no_wrap=True)
    for metric in SHOWN:
        table.add_column(f"{metric.replace('_', ' ')}@{k}", justify="right", no_wrap=True)
    for name, row in facts["rows"].items():
        table.add_row(name, *(_said(row.get(f"{metric}@{k}")) for metric in SHOWN))
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)
    for one in facts["comparisons"]:
        print(
            f"{one['metric']}: {one['ours']} is {one['ratio']:.2f} × {one['theirs']}, "
            f"{one['difference']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f}), p {one['p']:.3g}"
        )


def _duel(evaluation: Evaluation, metric: str, ours: str, theirs: str) -> dict[str, Any]:
    rows = evaluation.rows
    mine, other = (rows[name].values[metric] for name in (ours, theirs))
    found = compare(mine, other, evaluation.queries.user_idx)
    ratio = np.nanmean(mine) / np.nanmean(other) if np.nansum(other) else float("inf")
    return {
        "metric": metric, "ours": ours, "theirs": theirs, "ratio": float(ratio), "difference": found.difference.mean,
        "low": found.difference.low, "high": found.difference.high, "p": found.p,
    }  # fmt: skip


def _said(interval: dict[str, float] | None) -> str:
    if interval is None:
        return ""
    return f"{interval['mean']:.4f} ({interval['low']:.4f}–{interval['high']:.4f})"
