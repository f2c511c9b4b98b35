"""What a sweep found, as values, a table, a file and pictures."""

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from tune.plots import history_figure, parallel_figure, save
from tune.results import Trial, as_table, best_first, is_complete, read_results, write_results
from tune.run import read_config
from tune.spaces import Choice, Range

CONFIG = read_config(["data=somewhere", "trials=3"])
SPACE = {"learning_rate": Range(low=0.001, high=0.1, log=True), "embedding_dim": Choice(choice=[32, 64])}


def trial(number: int, scores: list[float], finished: bool = True) -> Trial:
    params = {"learning_rate": 0.001 * number, "embedding_dim": 32}
    return Trial(number=number, params=params, scores=scores, seconds=1.0, finished=finished)


TRIALS = [trial(1, [0.1, 0.2]), trial(2, [0.3, 0.5, 0.4]), trial(3, [0.5])]


def test_a_trial_is_as_good_as_its_best_epoch() -> None:
    assert (TRIALS[1].score, TRIALS[1].best_epoch) == (0.5, 2)
    assert (trial(4, []).score, trial(4, []).best_epoch) == (-math.inf, 0)


def test_the_best_comes_first_and_earlier_trials_win_ties() -> None:
    assert [one.number for one in best_first([*TRIALS, trial(4, [])])] == [2, 3, 1, 4]


@pytest.mark.parametrize("trials", [TRIALS[:2], [*TRIALS[:2], trial(3, [0.5], finished=False)]])
def test_a_sweep_with_a_missing_or_cut_trial_is_not_complete(trials: list[Trial]) -> None:
    assert is_complete(TRIALS, CONFIG)
    assert not is_complete(trials, CONFIG)


def test_results_can_be_read_again(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", TRIALS, CONFIG, "ndcg@10")
    assert read_results(tmp_path / "results.json") == best_first(TRIALS)


def test_the_table_shows_what_ran_best_first() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(as_table([*TRIALS, trial(4, [], finished=False)], "ndcg@10"))
    rows = [line.split("│") for line in captured.get().splitlines() if "│" in line]
    assert [int(row[1]) for row in rows] == [2, 3, 1]


def test_a_table_of_nothing_is_empty() -> None:
    assert as_table([trial(1, [], finished=False)], "ndcg@10").row_count == 0


def test_the_history_rises_to_the_best_score() -> None:
    (best,) = history_figure(TRIALS, "ndcg@10").axes[0].get_lines()
    assert np.asarray(best.get_ydata()).tolist() == [0.2, 0.5, 0.5]


def test_parallel_lines_cross_each_axis_at_the_trials_value() -> None:
    lines = parallel_figure(TRIALS, SPACE, "ndcg@10").axes[0].get_lines()[: len(TRIALS)]
    heights = [np.asarray(line.get_ydata()) for line in lines]
    assert heights[0].tolist() == pytest.approx([0.0, 0.0, 0.0])  # the lowest rate, the first choice, the lowest score
    assert heights[-1][-1] == pytest.approx(1.0)


def test_pictures_are_png_files(tmp_path: Path) -> None:
    path = save(parallel_figure(TRIALS, SPACE, "ndcg@10"), tmp_path / "parallel.png")
    assert imread(path).ndim == 3
