"""What a filter says, as a tree that one item's facts can be held against.

An attribute has any number of values; a comparison holds where one of them does. So a missing value makes every
comparison false, and `!=` and `not in`, which deny one, true. Of two attributes only numbers are compared.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Scalar = str | float | bool
Facts = Mapping[str, tuple[Scalar, ...]]  # attribute → its values
Operator = Literal["=", "<", "<=", ">", ">="]

COMPARE: dict[Operator, Callable[..., bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
TURNED: dict[Operator, Operator] = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Attribute:
    """What an item says of itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Given:
    """What the request says: of its context, or of the shopper."""

    scope: Literal["context", "user"]
    name: str


Values = tuple[Scalar, ...]
Term = Attribute | Given | Values


@dataclass(frozen=True, slots=True)
class Compare:
    """Holds where any value of `left` stands so to any one of `right`."""

    left: Term
    operator: Operator
    right: Term


@dataclass(frozen=True, slots=True)
class Not:
    """Holds where its part does not."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class Every:
    """Holds where all parts do."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Holds where any part does."""

    parts: tuple["Expression", ...]


Expression = Compare | Not | Every | Some
Said = Mapping[str, Mapping[str, Values]]  # what a request says: scope → name → values


def bound(expression: Expression, given: Said) -> Expression:
    """Return an expression with the request's own words in their places."""
    match expression:
        case Not(part):
            return Not(bound(part, given))
        case Every(parts) | Some(parts):
            return replace(expression, parts=tuple(bound(part, given) for part in parts))
        case Compare(left, _, right):
            return replace(expression, left=_bound(left, given), right=_bound(right, given))


def holds(expression: Expression, facts: Facts) -> bool:
    """Tell whether a bound expression holds for an item."""
    match expression:
        case Not(part):
            return not holds(part, facts)
        case Every(parts):
            return all(holds(part, facts) for part in parts)
        case Some(parts):
            return any(holds(part, facts) for part in parts)
        case Compare(left, relation, right):
            ours, theirs = _values(left, facts), _values(right, facts)
            if isinstance(left, Attribute) and isinstance(right, Attribute):
                ours, theirs = _numbers(ours), _numbers(theirs)
            return any(stands(one, relation, other) for one in ours for other in theirs)


def stands(one: Scalar, relation: Operator, other: Scalar) -> bool:
    """Tell whether two values of one kind stand so to each other; values of two kinds never do."""
    if isinstance(one, bool) or isinstance(other, bool):
        return relation == "=" and isinstance(one, bool) and isinstance(other, bool) and one == other
    if isinstance(one, str) != isinstance(other, str):
        return False
    return COMPARE[relation](one, other)


def n_comparisons(expression: Expression) -> int:
    """Return how many comparisons an expression makes."""
    match expression:
        case Not(part):
            return n_comparisons(part)
        case Every(parts) | Some(parts):
            return sum(map(n_comparisons, parts))
        case Compare():
            return 1


def every(*expressions: Expression | None) -> Expression | None:
    """Return what holds where all of some do, as far as they are given; nothing where none is."""
    given = tuple(expression for expression in expressions if expression is not None)
    return Every(given) if len(given) > 1 else (given[0] if given else None)


def attributes(expression: Expression) -> set[str]:
    """Return the names of what an expression asks of items."""
    match expression:
        case Not(part):
            return attributes(part)
        case Every(parts) | Some(parts):
            return set().union(*map(attributes, parts))
        case Compare(left, _, right):
            return {term.name for term in (left, right) if isinstance(term, Attribute)}


def _values(term: Term, facts: Facts) -> Values:
    if isinstance(term, Attribute):
        return facts.get(term.name, ())
    return () if isinstance(term, Given) else term


def _numbers(values: Values) -> Values:
    return tuple(value for value in values if isinstance(value, float))


def _bound(term: Term, given: Said) -> Term:
    return given.get(term.scope, {}).get(term.name, ()) if isinstance(term, Given) else term
