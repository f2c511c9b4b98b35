"""Tables say everything and fit a terminal of 80 columns."""

import io
from typing import Any

import numpy as np
from rich.console import Console

from tests.train.evaluation.outcomes import K, made_up
from train.evaluation.printed import duel_lines, metrics_table, segments_table
from train.evaluation.summary import by_segment, duel, summarise

EVALUATION = made_up()


def printed(what: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80).print(what)
    return stream.getvalue()


def test_every_row_shows_its_headline_with_half_an_interval() -> None:
    table, text = summarise(EVALUATION), printed(metrics_table(summarise(EVALUATION)))
    for name, metrics in table.items():
        half_width = f"{metrics['ndcg@10±']:.4f}".removeprefix("0")
        assert any(
            line.strip().startswith(name) and f"{metrics['ndcg@10']:.4f}±{half_width}" in line
            for line in text.split("\n")
        )


def test_the_widest_tables_fit_80_columns_uncut() -> None:
    table = summarise(EVALUATION)
    wide = {
        name: dict.fromkeys([*metrics, "diversity@10", "category_kl@10"], 0.123456) for name, metrics in table.items()
    }
    wide["liveshelf, seen kept"] = {"ndcg@10": 0.5, "ndcg@10±": 0.01}
    for what in (metrics_table(wide), segments_table(by_segment(EVALUATION), K)):
        text = printed(what)
        assert max(len(line.rstrip()) for line in text.split("\n")) <= 80
        assert "…" not in text


def test_a_table_of_an_older_bundle_is_printed_without_intervals() -> None:
    text = printed(metrics_table({"liveshelf": {"ndcg@10": 0.25, "recall@10": 0.5, "coverage@10": 1.0}}))
    assert "0.2500" in text
    assert "±" not in text


def test_segments_tell_how_many_queries_they_hold() -> None:
    text = printed(segments_table(by_segment(EVALUATION), K))
    for segment in by_segment(EVALUATION):
        line = next(line for line in text.split("\n") if line.strip().startswith(segment.name))
        assert f" {segment.n_queries} " in line
        assert f"{segment.ndcg['popularity'].mean:.4f}" in line


def test_a_duel_is_told_in_a_sentence_a_metric() -> None:
    lines = duel_lines(duel(EVALUATION))
    assert lines[0].startswith("liveshelf − sequential rules: ndcg@10 +0.")
    assert len(lines) == 2
    assert all(np.isfinite(float(line.rpartition(" p ")[2])) for line in lines)
