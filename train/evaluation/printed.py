"""Evaluations as tables that fit 80 columns."""

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table as Printed

from train.evaluation.summary import ENGINE, HALF_WIDTH, SEEN_KEPT, Duel, Segment, Table
from train.evaluation.verdict import Verdict

BEYOND = ("coverage", "novelty", "diversity", "popularity", "gini", "category_kl")


def metrics_table(table: Table) -> Group:
    """Return an evaluation to print: how right the lists are, below it what they are beyond that."""
    names = list(dict.fromkeys(name for metrics in table.values() for name in metrics))
    beyond = [name for name in names if name.partition("@")[0] in BEYOND]
    right = [name for name in names if "@" in name and name not in beyond and not name.endswith(HALF_WIDTH)]
    parts = [_metrics(table, right, "held-out queries")]
    if beyond:
        parts.append(_metrics(table, beyond, "their lists"))
    return Group(*parts, *_probabilities(table.get(ENGINE, {})))


def segments_table(segments: list[Segment], k: int) -> Printed:
    """Return NDCG by segment, a column for each way of ranking."""
    rows = [row for row in segments[0].ndcg if row != SEEN_KEPT]
    printed = _printed(f"ndcg@{k} by segment")
    for name in ("queries", *rows):
        printed.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    for segment in segments:
        means = (_mean(segment.ndcg[row].mean, segment.ndcg[row].half_width if row == ENGINE else None) for row in rows)
        printed.add_row(segment.name, f"{segment.n_queries:,}", *means)
    return printed


def _probabilities(engine: dict[str, float]) -> list[str]:
    """Return a line for each goal whose probability is known."""
    goals = [name.removeprefix("ece_") for name in engine if name.startswith("ece_")]
    said = "p({goal}): expected calibration error {ece:.5f}, base rate {base_rate:.5f}"
    return [
        said.format(goal=goal, ece=engine[f"ece_{goal}"], base_rate=engine[f"base_rate_{goal}"]) for goal in goals
    ]  # fmt: skip


def duel_lines(duel: Duel) -> list[str]:
    """Return a sentence for each metric of a paired test."""
    return [
        f"{ENGINE} − {duel.opponent}: {metric} {found.difference.mean:+.4f} "
        f"({found.difference.low:+.4f} to {found.difference.high:+.4f}), p {found.p:.3g}"
        for metric, found in duel.metrics.items()
    ]


def verdict_table(verdict: Verdict, served: str) -> Printed:
    """Return what a new bundle and the served one did on the newest orders."""
    printed = _printed(f"the newest {verdict.n_queries:,} orders, learned from by neither")
    printed.add_column(f"ndcg@{verdict.k}", justify="right", no_wrap=True)
    for name, mean in ((f"served: {served}", verdict.served), ("new", verdict.new)):
        printed.add_row(name, f"{mean:.4f}")
    return printed


def _metrics(table: Table, names: list[str], title: str) -> Printed:
    printed = _printed(title)
    for name in names:  # a word a line, so that all columns fit
        printed.add_column(name.replace("_", "\n").replace("@", "\n@"), justify="right", no_wrap=True)
    for row, metrics in table.items():
        known = (_mean(metrics[name], metrics.get(name + HALF_WIDTH)) if name in metrics else "" for name in names)
        printed.add_row(row, *known)
    return printed


def _printed(title: str) -> Printed:
    printed = Printed(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0)
    printed.add_column(no_wrap=True)
    return printed


def _mean(mean: float, half_width: float | None) -> str:
    return f"{mean:.4f}" if half_width is None else f"{mean:.4f}{HALF_WIDTH}{half_width:.4f}".replace("±0", "±")
