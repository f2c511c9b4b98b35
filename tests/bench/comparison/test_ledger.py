"""What was measured is found again, and only what was."""

from pathlib import Path

import pytest

from bench.comparison.ledger import Ledger, fingerprint_of
from bench.comparison.published import published

ABOUT = {"data": "small", "fingerprint": "f00"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ledger = Ledger.open(tmp_path / "results.json", ABOUT)
    ledger.add("families", "gru", 0, "one", {"ndcg@10": 0.5})
    ledger.add("families", "gru", 1, "one", {"ndcg@10": 0.6})
    ledger.add("families", "ease", 0, "one", {"failed": "too many items"})
    return tmp_path / "results.json"


def test_a_finished_row_is_finished_in_the_next_run_and_a_failed_one_is_not(path: Path) -> None:
    ledger = Ledger.open(path, ABOUT)
    assert ledger.is_finished("families", "gru", 0, "one")
    assert not ledger.is_finished("families", "gru", 2, "one")
    assert not ledger.is_finished("engine", "gru", 0, "one")
    assert not ledger.is_finished("families", "ease", 0, "one")
    assert [result["ndcg@10"] for result in ledger.results("families", "gru", [0, 1, 2])] == [0.5, 0.6]


def test_other_settings_replace_all_seeds_of_a_row(path: Path) -> None:
    ledger = Ledger.open(path, ABOUT)
    assert not ledger.is_finished("families", "gru", 0, "two")
    ledger.add("families", "gru", 0, "two", {"ndcg@10": 0.7})
    assert [result["ndcg@10"] for result in ledger.results("families", "gru", [0, 1])] == [0.7]


def test_results_of_other_data_are_not_gone_on_with(path: Path) -> None:
    assert Ledger.open(path, ABOUT | {"fingerprint": "ba5"}).rows == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": {}}'])
def test_a_file_that_is_no_ledger_is_begun_anew(path: Path, text: str) -> None:
    path.write_text(text)
    assert Ledger.open(path, ABOUT).rows == {}


def test_equal_settings_have_equal_fingerprints_in_any_order() -> None:
    assert fingerprint_of({"a": 1, "b": [2]}) == fingerprint_of({"b": [2], "a": 1}) != fingerprint_of({"a": 1})


def test_published_figures_are_shown_beside_their_own_data_only() -> None:
    assert published(22_363, 12_101, 198_502)["eSASRec"] == {"recall@10": 0.0928, "ndcg@10": 0.0523}
    assert published(22_363, 12_101, 198_501) == {}
