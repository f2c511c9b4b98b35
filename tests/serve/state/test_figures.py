"""The prequential figure against slow obvious sums, and when it says that learning does harm."""

from collections.abc import Sequence

import numpy as np
import pytest

from serve.state.events import UNJUDGED, UNRANKED
from serve.state.figures import DISCOUNTS, Figures, K, SlateName
from tests.serve.state.state_world import ranks

WINDOW = 50
GOOD, BAD, MISS = 1, 9, UNRANKED


def added(rows: Sequence[tuple[int, int, int]], standing: list[float] | None = None, least: int = 10**6) -> Figures:
    figures = Figures(WINDOW, least)
    figures.add(np.array(rows, np.int32).reshape(-1, 3), np.array(standing or [1.0] * len(rows), np.float32))
    return figures


def gain(rank: int) -> float:
    return 1 / np.log2(rank + 1) if 1 <= rank <= K else 0.0


def test_the_discounts_are_those_of_ndcg() -> None:
    np.testing.assert_allclose(DISCOUNTS, 1 / np.log2(np.arange(1, K + 1) + 1), rtol=1e-15)


def test_figures_are_weighted_means_in_which_the_past_fades() -> None:
    rng = np.random.default_rng(0)
    rows, standing = [ranks(index) for index in range(300)], rng.choice([0.0, 0.1, 1.0], 300).tolist()
    kept = [(row, weight) for row, weight in zip(rows, standing, strict=True) if row != UNJUDGED and weight > 0]
    age = np.arange(len(kept))[::-1]
    weight = np.array([weight for _, weight in kept], np.float32) * (1 - 1 / WINDOW) ** age
    gains = np.array([[gain(rank) for rank in row] for row, _ in kept])
    hits = np.array([[1 <= rank <= K for rank in row] for row, _ in kept])
    figures = added(rows, standing)
    assert figures.judged == len(kept)
    assert figures.effective == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    slates: tuple[SlateName, ...] = ("live", "still", "frozen")
    for place, slate in enumerate(slates):
        expected = (np.average(gains[:, place], weights=weight), np.average(hits[:, place], weights=weight))
        assert figures.score(slate) == pytest.approx(expected)
    for place, shadow in enumerate(slates[1:], start=1):
        lead = gains[:, 0] - gains[:, place]
        variance = np.average((lead - np.average(lead, weights=weight)) ** 2, weights=weight)
        expected = (np.average(lead, weights=weight), np.sqrt(variance / (figures.effective - 1)))
        assert figures.lead(shadow) == pytest.approx(expected)


def test_before_the_first_judged_event_there_is_nothing_to_tell() -> None:
    for figures in (added([]), added([UNJUDGED]), added([(1, 2, 3)], [0.0])):
        assert (figures.judged, figures.effective, figures.guarded) == (0, 0.0, False)
        assert figures.score("live") is None
        assert figures.lead("still") is None


def test_one_judged_event_has_a_lead_and_no_interval() -> None:
    lead = added([(1, MISS, 2)]).lead("still")
    assert lead == (1.0, None)


def test_it_matters_not_how_events_were_batched() -> None:
    rows = [ranks(index) for index in range(40)]
    apart, together = Figures(WINDOW, 5), Figures(WINDOW, 5)
    for row in rows:
        apart.add(np.array([row], np.int32), np.ones(1, np.float32))
    together.add(np.array(rows, np.int32), np.ones(len(rows), np.float32))
    np.testing.assert_array_equal(apart.sums, together.sums)


def test_the_guard_begins_when_live_is_surely_worse_and_not_before_enough_was_judged() -> None:
    worse = [(BAD, GOOD, GOOD), (MISS, 3, GOOD)]
    assert not added(worse * 9, least=20).guarded
    assert added(worse * 10, least=20).guarded


def test_the_guard_does_not_begin_for_chance_or_for_the_better() -> None:
    better, mixed = [(GOOD, BAD, GOOD)], [(GOOD, BAD, BAD), (BAD, GOOD, BAD)]
    assert not added(better * 100, least=2).guarded
    assert not added(mixed * 100, least=50).guarded


def test_worse_than_what_knows_nothing_of_the_shopper_is_no_reason() -> None:
    assert not added([(BAD, BAD, GOOD)] * 100, least=2).guarded


@pytest.mark.parametrize("after", [(GOOD, GOOD, GOOD), (GOOD, BAD, BAD)], ids=["equal", "better"])
def test_the_guard_ends_when_live_is_no_longer_surely_worse(after: tuple[int, int, int]) -> None:
    worse = [(BAD, GOOD, GOOD), (MISS, 3, GOOD)]
    figures = added(worse * 20, least=20)
    assert figures.guarded
    figures.add(np.array([after], np.int32), np.ones(1, np.float32))
    assert figures.guarded  # one is not enough
    figures.add(np.array([after] * 20 * WINDOW, np.int32), np.ones(20 * WINDOW, np.float32))
    assert not figures.guarded


def test_events_that_count_for_nobody_else_do_not_begin_the_guard() -> None:
    figures = added([(GOOD, BAD, BAD), (GOOD, 3, BAD)] * 20, least=20)
    figures.add(np.array([(BAD, GOOD, GOOD)] * 100, np.int32), np.zeros(100, np.float32))
    assert not figures.guarded
