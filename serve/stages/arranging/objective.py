"""The objective language: `0.6*p(click) + 0.3*p(purchase)*price*margin + 0.1*novelty`.

Its grammar is LALR(1) and its operators are unrolled, so that reading takes time in proportion to the text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, VisitError

from serve.stages.grammar import UnreadableError, position_of, sentence_of

MAX_LENGTH = 2_000  # characters
MAX_NAMES = 16
MAX_DEPTH = 32  # of parentheses in each other
KEPT = 1_024  # texts whose reading is kept

GRAMMAR = r"""
?start: sum
?sum: product ((PLUS | MINUS) product)*
?product: signed ((TIMES | OVER) signed)*
?signed: MINUS atom -> negative | atom
?atom: NUMBER -> number
     | NAME -> name
     | P GOAL ")" -> probability
     | NAME "(" sum ("," sum)* ")" -> call
     | "(" sum ")"

PLUS: "+"
MINUS: "-"
TIMES: "*"
OVER: "/"
P.2: /p\s*\(/
GOAL: /click|purchase/
NUMBER: /(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?/
NAME: /[A-Za-z_]\w*(?:\.\w+)*/
%ignore /\s+/
"""
PARENTHESIS = re.compile(r"[()]")
FUNCTIONS: dict[str, tuple[int, int, Callable[..., np.ndarray]]] = {  # name → fewest and most arguments, what it does
    "log": (1, 1, np.log),
    "min": (2, 64, lambda *parts: reduce(np.minimum, parts)),
    "max": (2, 64, lambda *parts: reduce(np.maximum, parts)),
    "known": (2, 2, lambda part, other: np.where(np.isnan(part), other, part)),
}


class ObjectiveError(UnreadableError):
    """An objective that cannot be read."""

    field = "objective"


@dataclass(frozen=True, slots=True)
class Named:
    """What is known of each candidate under a name, such as `price` or `p(click)`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a function makes of its parts."""

    function: str
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Sums or products, from the left; a tree of two parts each would be as deep as the text is long."""

    first: "Expression"
    more: tuple[tuple[str, "Expression"], ...]  # operator and what it takes in


Expression = float | Named | Call | Chain

OPERATORS: dict[str, Callable[..., np.ndarray]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Objective:
    """A read objective."""

    expression: Expression
    names: frozenset[str]  # that it asks for

    def values(self, known: Mapping[str, np.ndarray], n: int) -> np.ndarray:
        """Return the value of each of n candidates, (n,) float64; known: (n,) by name, NaN where it is missing.

        Arithmetic is that of IEEE 754: what is divided by zero, or too large, is infinite, what lacks a part is NaN.
        """
        with np.errstate(all="ignore"):
            return np.broadcast_to(_value(self.expression, known), n).astype(np.float64)


def _value(expression: Expression, known: Mapping[str, np.ndarray]) -> np.ndarray:
    match expression:
        case Named(name):
            return known[name]
        case Call(function, parts):
            return FUNCTIONS[function][2](*(_value(part, known) for part in parts))
        case Chain(first, more):
            value = _value(first, known)
            for operator, part in more:
                value = OPERATORS[operator](value, _value(part, known))
            return value
        case _:
            return np.asarray(expression, dtype=np.float64)


class _Tree(Transformer[Token, Expression]):
    """Makes expressions of what the grammar found, and notes the names that they ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, int] = {}  # → where it stands

    def sum(self, parts: list[Any]) -> Expression:
        return Chain(parts[0], tuple(zip((str(one) for one in parts[1::2]), parts[2::2], strict=True)))

    product = sum

    def negative(self, parts: list[Any]) -> Expression:
        return Chain(0.0, (("-", parts[1]),))

    def number(self, parts: list[Token]) -> Expression:
        return float(parts[0].value)

    def name(self, parts: list[Token]) -> Expression:
        return self._named(parts[0].value, parts[0])

    def probability(self, parts: list[Token]) -> Expression:
        return self._named(f"p({parts[1].value})", parts[1])

    def call(self, parts: list[Any]) -> Expression:
        name, given = parts[0].value, tuple(parts[1:])
        if name not in FUNCTIONS:
            raise ObjectiveError(
                f"there is no function {name!r}; there are {', '.join(FUNCTIONS)} and p", _at(parts[0])
            )
        fewest, most, _ = FUNCTIONS[name]
        if not fewest <= len(given) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            plural = "" if wanted == "1" else "s"
            raise ObjectiveError(f"{name} takes {wanted} value{plural}, not {len(given)}", _at(parts[0]))
        return Call(name, given)

    def _named(self, name: str, token: Token) -> Expression:
        self.names.setdefault(name, _at(token))
        if len(self.names) > MAX_NAMES:
            raise ObjectiveError(f"an objective names {MAX_NAMES} things at most", _at(token))
        return Named(name)


PARSER = Lark(GRAMMAR, parser="lalr")
SPELLED = {
    "LPAR": "'('", "RPAR": "')'", "NAME": "a name", "NUMBER": "a number", "COMMA": "','", "PLUS": "'+'", "MINUS": "'-'",
    "TIMES": "'*'", "OVER": "'/'", "P": "'p('", "GOAL": "click or purchase", "$END": "the end",
}  # fmt: skip


@lru_cache(KEPT)
def parse_objective(text: str) -> Objective:
    """Return what an objective says; raises ObjectiveError with the place where reading stopped."""
    if len(text) > MAX_LENGTH:
        raise ObjectiveError(f"an objective has at most {MAX_LENGTH} characters, not {len(text)}", MAX_LENGTH + 1)
    _require_shallow(text)
    tree = _Tree()
    try:
        expression = tree.transform(PARSER.parse(text))
    except VisitError as error:
        raise error.orig_exc from None
    except UnexpectedInput as error:
        detail = sentence_of(text, error, SPELLED, "there are numbers, names, + - * / and functions")
        raise ObjectiveError(detail, position_of(text, error)) from None
    return Objective(expression, frozenset(tree.names))


def _require_shallow(text: str) -> None:
    depth = 0
    for found in PARENTHESIS.finditer(text):
        depth += 1 if found[0] == "(" else -1
        if depth > MAX_DEPTH:
            raise ObjectiveError(f"parentheses may lie {MAX_DEPTH} deep", found.start() + 1)


def _at(token: Token) -> int:
    return (token.start_pos or 0) + 1
