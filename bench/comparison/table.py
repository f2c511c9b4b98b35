"""All rows side by side, a seed's figures or the mean of several."""

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.comparison.ledger import Result

FIGURES = ("recall@10", "ndcg@10", "ndcg@10_kept")
COSTS = ("fit_cpu_s", "evaluate_cpu_s", "parameters")

Rows = dict[str, list[Result]]  # name → a result per seed


def comparison_table(title: str, groups: dict[str, Rows], published: dict[str, dict[str, float]]) -> Table:
    """Return the table to print; within a group as given."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("R@10", "N@10", "±", "N@10\nseen kept", "N@10\nvalid", "CPU s\nfit", "CPU s\nask", "numbers"):
        table.add_column(name, justify="right", no_wrap=True)
    for group, rows in groups.items():
        if rows:
            table.add_row(f"[dim]{group}[/dim]")
        for name, results in rows.items():
            table.add_row(name, *cells(results))
    if published:
        table.add_row("[dim]published[/dim]")
    for name, row in published.items():
        table.add_row(name, f"{row['recall@10']:.4f}", f"{row['ndcg@10']:.4f}")
    return table


def cells(results: list[Result]) -> list[str]:
    """Return a row's figures; of what failed, a line through it."""
    done = [result for result in results if "failed" not in result]
    if not done:
        return ["–"]
    recall, ndcg, kept = (shown(done, name) for name in FIGURES)
    valid = shown(done, "valid_ndcg@10") if "valid_ndcg@10" in done[0] else ""
    fit, ask, numbers = (mean(done, name) for name in COSTS)
    counted = f"{numbers:,.0f}" if numbers else ""
    return [recall, ndcg, f"{mean(done, 'ndcg@10_half_width'):.4f}", kept, valid, f"{fit:,.1f}", f"{ask:,.1f}", counted]


def shown(done: list[Result], name: str) -> str:
    """Return a mean over seeds and, of several, their standard deviation in units of the last digit."""
    values = [result[name] for result in done]
    spread = f" ({np.std(values, ddof=1) * 1e4:.0f})" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def mean(done: list[Result], name: str) -> float:
    """Return the mean over seeds, 0 where a row has no such figure."""
    return float(np.mean([result.get(name, 0) for result in done]))


def best_first(rows: Rows) -> Rows:
    """Return rows by NDCG, those that failed last."""
    return dict(sorted(rows.items(), key=lambda row: _score(row[1]), reverse=True))


def _score(results: list[Result]) -> float:
    done = [result for result in results if "failed" not in result]
    return mean(done, "ndcg@10") if done else -1.0


def failures(groups: dict[str, Rows]) -> list[str]:
    """Return a sentence about each row that has no figures."""
    return [
        f"{name}: {result['failed']}"
        for rows in groups.values()
        for name, results in rows.items()
        for result in results
        if "failed" in result
    ]
