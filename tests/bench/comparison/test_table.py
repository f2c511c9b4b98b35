"""Rows side by side: one seed, several, or none that worked."""

import pytest
from rich.console import Console

from bench.comparison.ledger import Result
from bench.comparison.table import best_first, cells, comparison_table, failures


def result(ndcg: float, **more: float) -> Result:
    figures = {"recall@10": 0.1, "ndcg@10": ndcg, "ndcg@10_half_width": 0.002, "ndcg@10_kept": 0.04}
    return figures | {"fit_cpu_s": 12.0, "evaluate_cpu_s": 3.0} | more


FAILED = {"failed": "too many items"}


def test_one_seed_is_shown_as_it_is() -> None:
    shown = cells([result(0.05, parameters=1200, **{"valid_ndcg@10": 0.06})])
    assert shown == ["0.1000", "0.0500", "0.0020", "0.0400", "0.0600", "12.0", "3.0", "1,200"]


def test_several_seeds_are_a_mean_with_their_deviation_in_the_last_digits() -> None:
    assert cells([result(0.05), result(0.052), result(0.054)])[1] == "0.0520 (20)"


def test_seeds_that_failed_do_not_hide_those_that_worked() -> None:
    assert cells([FAILED, result(0.05)])[1] == "0.0500"
    assert cells([FAILED]) == ["–"]


def test_the_best_row_comes_first_and_failed_ones_last() -> None:
    rows = {"ease": [FAILED], "gru": [result(0.05)], "rules": [result(0.06)]}
    assert list(best_first(rows)) == ["rules", "gru", "ease"]
    assert failures({"families": rows}) == ["ease: too many items"]


@pytest.mark.parametrize("published", [{}, {"SASRec": {"recall@10": 0.0605, "ndcg@10": 0.0318}}])
def test_published_rows_stand_below_where_there_are_any(published: dict[str, dict[str, float]]) -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(comparison_table("title", {"families": {"gru": [result(0.05)]}, "peers": {}}, published))
    printed = captured.get()
    assert ("SASRec" in printed, "0.0318" in printed) == (bool(published), bool(published))
    assert "peers" not in printed
