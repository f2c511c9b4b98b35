"""Lists of several queries at once against each list by itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.evaluation.lists import ENDED, ScoredLists
from train.models.candidates import Candidates

ITEMS = st.dictionaries(st.integers(0, 11), st.integers(0, 3).map(float), max_size=9)


def candidates(scores: dict[int, float]) -> Candidates:
    items = np.array(list(scores), dtype=np.int64)
    values = np.array(list(scores.values()), dtype=np.float32)
    return Candidates(item_idx=items, source=np.ones(len(items), np.uint8), score=values)


@given(lists=st.lists(ITEMS, min_size=1, max_size=5), k=st.integers(1, 10))
def test_the_best_of_each_list_are_those_it_has_alone(lists: list[dict[int, float]], k: int) -> None:
    some = [candidates(scores) for scores in lists]
    best = ScoredLists.of(some).best(k)
    assert best.shape == (len(some), k)
    for found, one in zip(best, some, strict=True):
        alone = one.best(k).item_idx.tolist()
        assert found.tolist() == alone + [ENDED] * (k - len(alone))


@given(lists=st.lists(ITEMS, min_size=1, max_size=5), truth=st.lists(st.integers(0, 11), max_size=6))
def test_an_item_has_the_rank_that_a_walk_through_its_list_finds(
    lists: list[dict[int, float]], truth: list[int]
) -> None:
    scored = ScoredLists.of([candidates(scores) for scores in lists])
    query = np.repeat(np.arange(len(lists)), len(truth))
    found = scored.ranks(query, np.tile(np.array(truth, np.int64), len(lists)))
    expected = []
    for scores in lists:
        for item in truth:
            better = sum(score > scores.get(item, 0) for score in scores.values())
            equal = sum(score == scores.get(item, 0) for score in scores.values())
            expected.append(better + (equal - 1) / 2 if item in scores else np.inf)
    assert found.tolist() == expected
