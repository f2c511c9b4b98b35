"""What is known of shoppers becomes rows of numbers, whatever a table or a request holds."""

import numpy as np
import pytest

from train.encoders.traits import TraitEncoder

USERS = [
    {"city": "Oslo", "club": True, "age": 20, "likes": ["tea", "jazz"]},
    {"city": "Oslo", "club": False, "age": 60.0, "likes": ["tea"]},
    {"city": "Lima", "club": True, "age": None, "likes": None},
    {"city": "Lima", "club": True, "age": float("nan"), "odd": "alone"},
    {},
]
ENCODER = TraitEncoder.fit(USERS)
COLUMNS = {pair: number for number, pair in enumerate(ENCODER.values)}


def row(**told: object) -> np.ndarray:
    return ENCODER.of([told]).toarray()[0]


def test_a_value_that_two_users_have_is_a_column() -> None:
    assert set(COLUMNS) == {("city", "Oslo"), ("city", "Lima"), ("club", "true"), ("likes", "tea")}
    matrix = ENCODER.of(USERS)
    assert matrix.shape == (5, ENCODER.dim) == (5, 6)
    assert matrix.dtype == np.float32
    assert matrix.toarray()[:, COLUMNS["city", "Oslo"]].tolist() == [1, 1, 0, 0, 0]
    assert matrix.toarray()[:, COLUMNS["club", "true"]].tolist() == [1, 0, 1, 1, 0]


def test_a_number_is_scaled_and_a_missing_one_is_zero() -> None:
    ages = ENCODER.of(USERS).toarray()[:, -2:]
    assert ages[0, 0] == -ages[1, 0] < 0
    assert ages[0, 1] == ages[1, 1] > 0
    assert not ages[2:].any()


@pytest.mark.parametrize(
    "told",
    [{}, {"city": "Rome"}, {"shoe": 42}, {"age": "old"}, {"age": float("inf")}, {"city": None}, {"city": {"x": 1}},
     {"likes": []}, {"likes": [None, "opera"]}],
)  # fmt: skip
def test_what_training_never_saw_says_nothing(told: dict[str, object]) -> None:
    assert not row(**told).any()


@pytest.mark.parametrize(
    ("one", "other", "spelled"),
    [(7, 7.0, "7"), (7.0, "7", "7"), (True, "true", "true"), (np.bool_(True), True, "true")],
)
def test_a_value_is_the_same_however_it_is_written(one: object, other: object, spelled: str) -> None:
    encoder = TraitEncoder.fit([{"kind": one}, {"kind": "x"}, {"kind": other}])
    assert encoder.values == (("kind", spelled),)


def test_only_the_traits_that_are_told_change() -> None:
    known = row(city="Oslo", age=20)
    changed = ENCODER.changed(known, {"city": "Lima"})
    np.testing.assert_array_equal(changed, row(city="Lima", age=20))
    np.testing.assert_array_equal(ENCODER.changed(known, {"age": None}), row(city="Oslo"))
    np.testing.assert_array_equal(ENCODER.changed(None, {"likes": "tea"}), row(likes="tea"))
    assert ENCODER.changed(row(city="Oslo"), {"city": None}) is None


def test_an_encoder_comes_back_from_json_as_it_was() -> None:
    assert TraitEncoder.from_json(ENCODER.to_json()) == ENCODER
