"""Objectives: what they are worth, and where reading one stops."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.stages.arranging.objective import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_NAMES,
    Call,
    Chain,
    Expression,
    Named,
    ObjectiveError,
    parse_objective,
)

NAMES = ("price", "margin", "novelty", "p(click)", "p(purchase)", "size.width")


def divided(one: float, other: float) -> float:
    if other:
        return one / other
    return math.nan if math.isnan(one) or one == 0 else math.copysign(math.inf, one) * math.copysign(1, other)


APPLY: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": divided,
}  # fmt: skip

numbers = st.one_of(st.integers(0, 9).map(float), st.floats(0, 1e6))
leaves = st.one_of(numbers, st.sampled_from(NAMES).map(Named))
calls = st.sampled_from(["min", "max"])
operators = st.sampled_from("+-*/")
expressions: st.SearchStrategy[Expression] = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.builds(lambda part: Call("log", (part,)), parts),
        st.builds(lambda one, other: Call("known", (one, other)), parts, parts),
        st.builds(Call, calls, st.lists(parts, min_size=2, max_size=3).map(tuple)),
        st.builds(Chain, parts, st.lists(st.tuples(operators, parts), min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
rows = st.fixed_dictionaries({name: st.floats(-1e6, 1e6) | st.sampled_from([0.0, math.nan]) for name in NAMES})


def written(expression: Expression) -> str:
    """Return an expression as text, with parentheses around every part of a chain."""
    match expression:
        case Named(name):
            return name
        case Call(function, parts):
            return f"{function}({', '.join(map(written, parts))})"
        case Chain(first, more):
            text = f"({written(first)})"
            for operator, part in more:
                text = f"({text} {operator} ({written(part)}))"
            return text
        case _:
            return np.format_float_positional(expression, trim="0")


def slow(expression: Expression, row: dict[str, float]) -> float:
    """Return the value for one candidate, with Python's own numbers."""
    match expression:
        case Named(name):
            return row[name]
        case Call("log", (part,)):
            value = slow(part, row)
            return math.log(value) if value > 0 else -math.inf if value == 0 else math.nan
        case Call("known", (part, other)):
            value = slow(part, row)
            return slow(other, row) if math.isnan(value) else value
        case Call(function, parts):
            values = [slow(part, row) for part in parts]
            return math.nan if any(map(math.isnan, values)) else {"min": min, "max": max}[function](values)
        case Chain(first, more):
            value = slow(first, row)
            for operator, part in more:
                value = APPLY[operator](value, slow(part, row))
            return value
        case _:
            return float(expression)


@given(expressions, st.lists(rows, min_size=1, max_size=5))
def test_all_candidates_at_once_are_worth_what_each_is_by_itself(
    expression: Expression, candidates: list[dict[str, float]]
) -> None:
    objective = parse_objective(written(expression))
    known = {name: np.array([row[name] for row in candidates]) for name in NAMES}
    values = objective.values(known, len(candidates))
    np.testing.assert_allclose(values, [slow(expression, row) for row in candidates], rtol=1e-12, equal_nan=True)
    assert {name for name in NAMES if name in written(expression)} == objective.names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("8 / 2 / 2 - 1 - 1", 0.0),
        ("-price * -2", 20.0),
        ("2 * -(price - 1)", -18.0),
        ("0.6*p( click )+.1e1", 1.3),
        ("min(price, 3, 4) + max(price, 3)", 13.0),
        ("log(price) / log(10)", 1.0),
        ("known(margin, 0.2) * price", 2.0),
        ("p * click", 21.0),  # attributes like any other
        ("price / 0", math.inf),
        ("0 / 0", math.nan),
        ("margin * 0", math.nan),
        ("log(-1)", math.nan),
        ("1e999", math.inf),
    ],
)  # fmt: skip
def test_an_objective_means_what_it_says(text: str, expected: float) -> None:
    known = {"price": [10.0], "margin": [math.nan], "p(click)": [0.5], "p": [3.0], "click": [7.0]}
    [value] = parse_objective(text).values({name: np.array(one) for name, one in known.items()}, 1)
    assert value == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 1, "the end stands where"),
        ("price *", 8, "the end stands where"),
        ("price * * 3", 9, "'*' stands where"),
        ("price ^ 2", 7, "'^' means nothing here"),
        ("(price", 7, "the end stands where ')'"),
        ("price)", 6, "')' stands where"),
        ("p(buy)", 3, "'buy' stands where click or purchase"),
        ("2 * sqrt(price)", 5, "no function 'sqrt'"),
        ("min(price)", 1, "min takes 2 to 64 values, not 1"),
        ("log(1, 2)", 1, "log takes 1 value, not 2"),
        ("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "deep"),
        ("a" * (MAX_LENGTH + 1), MAX_LENGTH + 1, "at most 2000"),
        ("+".join(f"a{number:02}" for number in range(MAX_NAMES + 1)), 4 * MAX_NAMES + 1, "at most"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(text: str, position: int, said: str) -> None:
    with pytest.raises(ObjectiveError, match="^objective, character") as caught:
        parse_objective(text)
    [found] = caught.value.errors
    assert found["position"] == position
    assert found["pointer"] == "/objective"
    assert said in found["detail"]


@given(st.text(max_size=60) | st.text("pclick() +-*/.,1e", max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        parse_objective(text)
    except ObjectiveError as error:
        assert 1 <= error.errors[0]["position"] <= len(text) + 1


@pytest.mark.parametrize("unit", ["a+", "a*", "-a/", "1-", "min(a,a)+"])
def test_the_longest_objectives_are_read_and_worked_out(unit: str) -> None:
    text = unit * ((MAX_LENGTH - 1) // len(unit)) + "1"
    assert np.isfinite(parse_objective(text).values({"a": np.ones(3)}, 3)).all()
    deep = "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH
    assert parse_objective(deep).values({"a": np.ones(1)}, 1).tolist() == [1.0]
