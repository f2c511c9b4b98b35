"""What filters say, and where reading one stops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.stages.filters.expression import (
    Attribute,
    Compare,
    Every,
    Expression,
    Given,
    Not,
    Some,
    Term,
    bound,
    holds,
)
from serve.stages.filters.language import MAX_DEPTH, MAX_LIST, FilterError, parse
from tests.serve.filters.written import expressions, written

MUG = {"price": (7.5,), "brand": ("Acme",), "tags": ("blue", "gift"), "inStock": (True,), "listPrice": (9.0,)}


@given(expressions)
def test_reading_what_was_written_gives_the_same_expression(expression: Expression) -> None:
    assert parse(written(expression)) == expression


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inStock", True),
        ("not inStock", False),
        ("price <= 7.5 and price > 7", True),
        ("8 > price", True),
        ("price = '7.5'", False),  # a text is no number
        ("inStock = 1", False),
        ("brand in ('Bolt', 'Acme')", True),
        ("brand not in ('Bolt', 'Acme')", False),
        ("tags has 'gift' and 'blue' in tags", True),
        ("tags != 'gift'", False),
        ("price < listPrice", True),
        ("colour = 'red'", False),
        ("colour != 'red'", True),  # nobody says that it is red
        ("brand >= 'Ab' and brand < 'B'", True),
        ("price > 5 or brand = 'Bolt' and price > 100", True),  # `and` binds closer
        ("(price > 5 or brand = 'Bolt') and price > 100", False),
        ("not price > 100 and inStock", True),  # `not` binds closest
        ("brand = 'it\\'s'", False),
    ],
)  # fmt: skip
def test_a_filter_means_what_it_says(text: str, expected: bool) -> None:
    assert holds(parse(text), MUG) == expected


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 1, "the end stands where"),
        ("price <", 8, "the end stands where"),
        ("price < < 3", 9, "'<' stands where"),
        ("price ~ 3", 7, "'~' means nothing here"),
        ("brand = Acme'", 13, "means nothing here"),
        ("brand = 'Acme", 9, "texts stand in single quotes"),
        ("(price < 3", 11, "the end stands where ')'"),
        ("price < 3)", 10, "')' stands where"),
        ("tags = title", 6, "two attributes"),
        ("tags has title", 1, "two attributes"),
        (" or ".join(["a > 1"] * 65), 1, "compares 64 times at most"),
        ("".join("not " * 20 + "(" for _ in range(30)) + "a" + ")" * 30, 126, "deep"),
        ("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "deep"),
        ("not " * (MAX_DEPTH + 1) + "a", 4 * MAX_DEPTH + 1, "deep"),
        (f"a in ({', '.join(['1'] * (MAX_LIST + 1))})", 1, f"at most {MAX_LIST}"),
        ("a" * 4_001, 4_001, "at most 4000"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(text: str, position: int, said: str) -> None:
    with pytest.raises(FilterError, match="^filter, character") as caught:
        parse(text)
    [found] = caught.value.errors
    assert found["position"] == position
    assert said in found["detail"]


@given(st.text(max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except FilterError as error:
        assert 1 <= error.errors[0]["position"] <= len(text) + 1


def test_a_filter_as_deep_as_may_be_is_read_and_held_against_an_item() -> None:
    text = "not (" * (MAX_DEPTH // 2) + "price > 1" + ")" * (MAX_DEPTH // 2)
    assert holds(parse(text), MUG)
    assert parse(" and ".join(["price > 1"] * 64)) == Every((parse("price > 1"),) * 64)


def test_the_request_puts_its_own_words_in() -> None:
    said = parse("brand = user.favourite or not tags has context.device")
    known = bound(said, {"user": {"favourite": ("Acme", "Bolt")}, "context": {}})
    assert known == Some((
        Compare(Attribute("brand"), "=", ("Acme", "Bolt")), Not(Compare(Attribute("tags"), "=", ())),
    ))  # fmt: skip
    assert holds(known, {})  # nobody said which device it is


def test_dots_name_an_attribute_where_no_request_is_meant() -> None:
    terms: list[tuple[str, Term]] = [("size.width", Attribute("size.width")), ("user.age", Given("user", "age"))]
    for text, term in terms:
        assert parse(f"{text} > 3") == Compare(term, ">", (3.0,))
