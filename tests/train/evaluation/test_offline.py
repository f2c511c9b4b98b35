"""The table of a run on the tiny world, where the right answers are known."""

import numpy as np
import pytest

from tests.train.conftest import Small
from train.data.schema import Queries
from train.data.split import SplitConfig, make_split
from train.evaluation.offline import Table, evaluate, ranking_examples

BASELINES = {"sequence model", "sequential rules", "popularity"}


@pytest.fixture(scope="module")
def queries(small: Small) -> Queries:
    return make_split(small.prepared.interactions, SplitConfig.parse(["split=leave_one_out"]), has_clock=True).valid


def table_of(small: Small, queries: Queries, keep_seen: bool, k: int) -> Table:
    bundle = small.published.bundle
    return evaluate(
        bundle.model, bundle.state, bundle.sources, bundle.ranker, bundle.histories, queries, keep_seen, k
    )  # fmt: skip


def test_rules_find_the_next_item_of_the_ring(small: Small, queries: Queries) -> None:
    table = table_of(small, queries, keep_seen=False, k=1)
    assert table["sequential rules"]["recall@1"] == 1
    assert table["popularity"]["recall@1"] < 0.5
    assert table["liveshelf"]["recall@1"] > table["popularity"]["recall@1"]


def test_with_seen_items_out_their_figure_is_told_beside(small: Small, queries: Queries) -> None:
    table = table_of(small, queries, keep_seen=False, k=3)
    assert list(table)[:2] == ["liveshelf", "liveshelf, seen kept"]
    assert set(table) == BASELINES | {"liveshelf", "liveshelf, seen kept"}
    assert table["liveshelf"]["ndcg@3"] > table["liveshelf, seen kept"]["ndcg@3"]
    assert 0 < table["liveshelf"]["coverage@3"] <= 1


def test_with_seen_items_kept_the_personal_top_is_a_baseline(small: Small, queries: Queries) -> None:
    table = table_of(small, queries, keep_seen=True, k=3)
    assert set(table) == BASELINES | {"liveshelf", "personal top"}
    # All truths are new, and each shopper's four old items come before any new one.
    assert table["personal top"]["recall@3"] == 0


def test_examples_hold_every_query_with_its_answer_marked(small: Small, queries: Queries) -> None:
    bundle = small.published.bundle
    examples = ranking_examples(bundle.model, bundle.state, bundle.sources, bundle.histories, queries, keep_seen=False)
    assert len(examples.offsets) == len(queries) + 1
    assert examples.offsets[-1] == len(examples.features) == len(examples.relevant)
    # 24 items without the four seen ones, one of which is right.
    assert (np.diff(examples.offsets) == 20).all()
    assert np.add.reduceat(examples.relevant, examples.offsets[:-1]).tolist() == [1] * len(queries)


def test_no_queries_give_no_examples(small: Small, queries: Queries) -> None:
    bundle, none = small.published.bundle, queries.take(np.empty(0, np.int64))
    examples = ranking_examples(bundle.model, bundle.state, bundle.sources, bundle.histories, none, keep_seen=False)
    assert examples.offsets.tolist() == [0]
    assert len(examples.features) == 0
