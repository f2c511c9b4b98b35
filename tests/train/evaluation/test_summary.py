"""Tables, segments and tests agree with what the queries say one by one."""

import numpy as np
import pytest

from cluster.errors import ConfigError
from tests.train.evaluation.outcomes import N_QUERIES, K, made_up
from train.evaluation.metrics import ndcg
from train.evaluation.outcome import Outcome
from train.evaluation.segments import item_segment
from train.evaluation.summary import ReportConfig, best_baseline, by_segment, duel, row_intervals, summarise

EVALUATION = made_up()


def pairs_of(row: Outcome) -> np.ndarray:
    """Return the ranks of each query's two true items, (q, 2)."""
    return row.truths.rank.reshape(-1, 2)


def test_the_table_holds_means_over_queries_and_half_intervals() -> None:
    table = summarise(EVALUATION)
    for name, row in EVALUATION.rows.items():
        assert table[name]["ndcg@10"] == pytest.approx(np.mean(ndcg(row.truths, K)))
        assert table[name]["hit_rate@10"] == pytest.approx(np.mean((pairs_of(row) < K).any(axis=1)))
        found = row_intervals(EVALUATION)[name]["recall@10"]
        assert table[name]["recall@10±"] == (found.high - found.low) / 2 > 0
    for goal, found in EVALUATION.reliability.items():
        assert table["liveshelf"][f"ece_{goal}"] == found.ece


def test_old_and_new_items_are_recalled_apart() -> None:
    ranks = pairs_of(EVALUATION.rows["popularity"])
    table = summarise(EVALUATION)["popularity"]
    assert table["repeat_recall@10"] == pytest.approx(np.mean(ranks[:, 1] < K))
    assert table["explore_recall@10"] == pytest.approx(np.mean(ranks[:, 0] < K))


def test_what_cannot_be_said_is_left_out() -> None:
    assert not {"diversity@10", "category_kl@10"} & set(summarise(EVALUATION)["liveshelf"])
    assert not any(np.isnan(value) for metrics in summarise(EVALUATION).values() for value in metrics.values())


def test_segments_of_users_part_the_queries() -> None:
    users = [segment for segment in by_segment(EVALUATION) if segment.name.endswith("users")]
    assert [segment.name for segment in users] == ["cold users", "light users", "heavy users"]
    assert sum(segment.n_queries for segment in users) == N_QUERIES
    for row, metrics in summarise(EVALUATION).items():
        together = sum(segment.n_queries * segment.ndcg[row].mean for segment in users) / N_QUERIES
        assert together == pytest.approx(metrics["ndcg@10"])


def test_segments_of_items_ask_for_their_own_items_alone() -> None:
    part = item_segment(EVALUATION.popularity)
    found = {segment.name: segment for segment in by_segment(EVALUATION)}
    for number, name in enumerate(("head items", "torso items", "tail items")):
        slow = []
        for query, pair in enumerate(pairs_of(EVALUATION.rows["popularity"])):
            ranks = [
                rank
                for rank, item in zip(pair, EVALUATION.queries.truth_of(query), strict=True)
                if part[item] == number
            ]
            if ranks:
                gain = sum(1 / np.log2(rank + 2) for rank in ranks if rank < K)
                slow.append(gain / sum(1 / np.log2(place + 2) for place in range(len(ranks))))
        assert found[name].n_queries == len(slow)
        assert found[name].ndcg["popularity"].mean == pytest.approx(np.mean(slow))


def test_a_segment_without_queries_is_left_out() -> None:
    config = ReportConfig.parse(["light_events=1000"])
    assert "heavy users" not in [segment.name for segment in by_segment(EVALUATION, config)]


def test_the_engine_is_tested_against_the_best_row_that_is_no_part_of_it() -> None:
    assert best_baseline(EVALUATION) == "sequential rules"
    found = duel(EVALUATION)
    table = summarise(EVALUATION)
    assert found.opponent == "sequential rules"
    gain = table["liveshelf"]["ndcg@10"] - table["sequential rules"]["ndcg@10"]
    assert found.metrics["ndcg@10"].difference.mean == pytest.approx(gain)
    assert found.metrics["ndcg@10"].p < 0.01


def test_the_engine_does_not_differ_from_itself() -> None:
    assert duel(EVALUATION, ReportConfig.parse(["compare=liveshelf"])).metrics["recall@10"].p == 1


def test_an_unknown_row_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"compare='als' is no row .* best, liveshelf, sequence model"):
        duel(EVALUATION, ReportConfig.parse(["compare=als"]))
