"""An evaluation says the same whoever does its work."""

from functools import partial

import numpy as np
import pytest

from tests.train.conftest import Small
from train.data.schema import Queries
from train.data.split import SplitConfig, make_split
from train.evaluation.offline import measure
from train.evaluation.outcome import Evaluation
from train.evaluation.summary import ENGINE, SEEN_KEPT, summarise
from train.recommender import ENCODED

K = 3


@pytest.fixture(scope="module")
def queries(small: Small) -> Queries:
    """Some lots of queries, each shopper's asked again and again."""
    split = make_split(small.prepared.interactions, SplitConfig.parse(["split=leave_one_out"]), has_clock=True)
    return split.valid.take(np.arange(2 * ENCODED + 10) % len(split.valid))


def measured(small: Small, queries: Queries, keep_seen: bool, processes: int = 1) -> Evaluation:
    bundle = small.published.bundle
    of_bundle = partial(measure, bundle.model, bundle.state, bundle.sources, bundle.ranker, bundle.histories)
    return of_bundle(queries, keep_seen, K, small.prepared.catalogue, bundle.calibration, processes)


@pytest.mark.parametrize("keep_seen", [False, True])
def test_any_number_of_processes_finds_the_same_to_the_bit(small: Small, queries: Queries, keep_seen: bool) -> None:
    alone, together = (measured(small, queries, keep_seen, processes) for processes in (1, 2))
    assert summarise(alone) == summarise(together)
    assert list(alone.rows) == list(together.rows)
    for name, row in alone.rows.items():
        assert row.truths.rank.tobytes() == together.rows[name].truths.rank.tobytes()
        assert row.shown.indices.tobytes() == together.rows[name].shown.indices.tobytes()
    assert {goal: one.ece for goal, one in alone.reliability.items()} == {
        goal: one.ece for goal, one in together.reliability.items()
    }


def test_the_row_of_seen_items_is_the_engine_where_they_are_kept(small: Small, queries: Queries) -> None:
    beside, kept = measured(small, queries, keep_seen=False), measured(small, queries, keep_seen=True)
    assert beside.rows[SEEN_KEPT].truths.rank.tobytes() == kept.rows[ENGINE].truths.rank.tobytes()
    assert beside.rows[SEEN_KEPT].shown.indices.tobytes() == kept.rows[ENGINE].shown.indices.tobytes()
    assert beside.rows[ENGINE].shown.indices.tobytes() != kept.rows[ENGINE].shown.indices.tobytes()
