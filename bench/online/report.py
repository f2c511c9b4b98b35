"""What is said of rows that learn: every mean with its interval, and the full engine against each other row."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.online.blend import ranked_truths
from bench.online.rows import FULL
from bench.online.stream import Question
from train.evaluation.bootstrap import compare, intervals
from train.evaluation.metrics import ndcg, ranks_of
from train.models.candidates import Candidates

WIDTH = 120  # columns that the table needs, also where nobody looks at a terminal


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How every row did on the questions of one kind."""

    weights: dict[str, list[float]]  # of the blends
    user_idx: list[int] = field(default_factory=list)
    ranks: dict[str, list[np.ndarray]] = field(default_factory=dict)  # row → ranks of each question's true items

    def add(self, question: Question, lists: dict[str, Candidates]) -> None:
        """Take every row's answer to the next question."""
        self.user_idx.append(question.user_idx)
        for name, ranked in lists.items():
            self.ranks.setdefault(name, []).append(ranks_of(question.truth, ranked))


def as_facts(asked: Asked, k: int) -> dict[str, Any]:
    """Return each row's NDCG with its interval, and how the full engine compares with it on the same questions."""
    user_idx = np.array(asked.user_idx)
    values = {name: ndcg(ranked_truths(ranks), k) for name, ranks in asked.ranks.items()}
    found = intervals(values, user_idx)
    rows = {name: {"ndcg": one.mean, "low": one.low, "high": one.high} for name, one in found.items()}
    for name, row in rows.items():
        versus = compare(values[FULL], values[name], user_idx)
        row |= {"full_is": _ratio(rows[FULL]["ndcg"], row["ndcg"]), "p": versus.p}
        row |= {
            "full_adds": versus.difference.mean,
            "adds_low": versus.difference.low,
            "adds_high": versus.difference.high,
        }
    return {"questions": len(user_idx), "k": k, "rows": rows, "weights": asked.weights}


def print_facts(facts: dict[str, Any]) -> None:
    """Print a table for each kind of question, and what an event costs."""
    console = Console()
    console.width = max(console.width, WIDTH)
    for kind in ("event", "order"):
        of_kind = facts[kind]
        title = f"{of_kind['questions']:,} questions, one per {kind}, NDCG@{of_kind['k']}"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for name in ("", "ndcg (95 %)", "full is", "full adds (95 %)", "p"):
            table.add_column(name, justify="right" if name else "left", no_wrap=True)
        for name, row in of_kind["rows"].items():
            adds = f"{row['full_adds']:+.4f} ({row['adds_low']:+.4f} to {row['adds_high']:+.4f})"
            said = f"{row['ndcg']:.4f} ({row['low']:.4f}–{row['high']:.4f})"
            table.add_row(name, said, f"{row['full_is']:.2f} ×", *((adds, f"{row['p']:.3g}") if name != FULL else ()))
        console.print(table)
    print(", ".join(f"{name} {value:.3f}" for name, value in facts["cost"].items()))


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else float("inf")
