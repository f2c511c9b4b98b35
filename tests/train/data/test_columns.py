import numpy as np
import pandas as pd
import pytest

from train.data.columns import as_lists, as_mappings, as_numbers, as_paths, as_texts, as_utc
from train.data.ids import as_ids

SECOND = pd.Timestamp("2014-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "raw",
    [
        [1_388_534_400],
        [1_388_534_400_000],
        [1_388_534_400_000_000],
        ["1388534400"],
        ["2014-01-01"],
        [20_140_101],
        ["20140101"],
        ["2014-01-01T01:00:00+01:00"],
        [pd.Timestamp("2014-01-01")],
        [SECOND],
        [SECOND.to_pydatetime()],
    ],
)
def test_every_usual_spelling_of_a_moment_is_the_same_moment(raw: list[object]) -> None:
    assert as_utc(pd.Series(raw)).tolist() == [SECOND]


def test_the_order_of_day_and_month_is_the_one_that_reads_the_whole_column() -> None:
    american = as_utc(pd.Series(["04/03/2011 08:26", "12/31/2011 08:26"]))
    british = as_utc(pd.Series(["04/03/2011 08:26", "31/12/2011 08:26"]))
    assert (american[0].month, british[0].month) == (4, 3)


def test_an_unreadable_time_does_not_spoil_the_others() -> None:
    times = as_utc(pd.Series(["2014-01-01", "never", None]))
    assert times.isna().tolist() == [False, True, True]


def test_a_number_out_of_all_time_is_unreadable() -> None:
    assert as_utc(pd.Series([1e30, np.inf, np.nan])).isna().all()


def test_what_is_no_number_becomes_infinite_and_a_gap_stays_a_gap() -> None:
    assert as_numbers(pd.Series(["1.5", "two", None], dtype=object)).tolist()[:2] == [1.5, np.inf]
    assert as_numbers(pd.Series(["1.5", None], dtype=object)).isna().tolist() == [False, True]


def test_lists_are_read_from_lists_arrays_and_bars() -> None:
    raw = pd.Series([["a", 1], np.array([2]), "a| b |", None, float("nan")], dtype=object)
    assert as_lists(raw).tolist() == [["a", "1"], ["2"], ["a", "b"], [], []]


def test_an_empty_text_is_missing_and_a_number_is_text() -> None:
    texts = as_texts(pd.Series([" a ", "", None, 7], dtype=object))
    assert texts.fillna("missing").tolist() == ["a", "missing", "missing", "7"]


def test_a_category_path_is_read_from_text_a_list_and_a_list_of_lists() -> None:
    raw = pd.Series(["A > B", ["A", "B"], np.array(["A"]), [["A", "B"], ["C"]], [], None], dtype=object)
    assert as_paths(raw).fillna("missing").tolist() == ["A > B", "A > B", "A", "A > B", "missing", "missing"]


def test_gaps_in_columns_of_whole_numbers_stay_gaps() -> None:
    raw = pd.Series([1_388_534_400, None], dtype="Int64")
    assert as_utc(raw).isna().tolist() == as_numbers(raw).isna().tolist() == [False, True]
    assert as_ids(raw).isna().tolist() == [False, True]


def test_a_mapping_leaves_out_what_is_missing() -> None:
    frame = pd.DataFrame({"age": [3.0, np.nan], "kind": ["x", "y"], "many": [[1, 2], [3]]})
    assert as_mappings(frame).tolist() == [{"age": 3.0, "kind": "x", "many": [1, 2]}, {"kind": "y", "many": [3]}]
