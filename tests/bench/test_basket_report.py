"""What is said of next baskets: intervals beside every row, the best baseline met, discovery lists held together."""

from dataclasses import replace

import numpy as np
import pytest

from bench.basket_report import as_facts, print_facts
from tests.train.evaluation.outcomes import N_QUERIES, K, made_up
from train.evaluation.baskets import DISCOVERING, OTHERS, TIFU, discovery
from train.evaluation.outcome import Evaluation
from train.evaluation.summary import ENGINE


def an_evaluation() -> Evaluation:
    """Return a good engine, personal top as the best baseline, and all others alike."""
    known = made_up().rows
    rows = dict.fromkeys((*OTHERS, TIFU, *map(discovery, DISCOVERING)), known["popularity"])
    rows |= {ENGINE: known["liveshelf"], discovery(ENGINE): known["liveshelf"]}
    return replace(made_up(), rows=rows | {"personal top": known["sequential rules"]})


def test_the_engine_meets_the_best_baseline_and_every_discovery_list() -> None:
    evaluation = an_evaluation()
    facts = as_facts(evaluation)
    assert facts["best_baseline"] == "personal top"
    assert [(one["metric"], one["ours"], one["theirs"]) for one in facts["comparisons"]] == [
        (f"ndcg@{K}", ENGINE, "personal top"), (f"recall@{K}", ENGINE, "personal top"),
        (f"explore_recall@{K}", discovery(ENGINE), "sequential rules"),
        *((f"explore_recall@{K}", discovery(ENGINE), discovery(name)) for name in DISCOVERING),
    ]  # fmt: skip
    for one in facts["comparisons"]:
        mine, theirs = (np.nanmean(evaluation.rows[one[whose]].values[one["metric"]]) for whose in ("ours", "theirs"))
        assert one["ratio"] == pytest.approx(mine / theirs)
        assert one["difference"] == pytest.approx(mine - theirs)
        assert one["low"] <= one["difference"] <= one["high"]


def test_every_row_has_its_intervals() -> None:
    facts = as_facts(an_evaluation())
    assert facts["queries"] == N_QUERIES
    for row in facts["rows"].values():
        assert set(row) == {f"{name}@{K}" for name in ("ndcg", "recall", "repeat_recall", "explore_recall")}
        assert all(one["low"] < one["mean"] < one["high"] for one in row.values())


def test_the_table_names_every_row_and_every_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    facts = as_facts(an_evaluation())
    print_facts(facts)
    printed = capsys.readouterr().out
    assert all(name in printed for name in facts["rows"])
    assert printed.count(" × ") == len(facts["comparisons"])
