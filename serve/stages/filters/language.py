"""The filter language: `inStock and price <= 50 and category in ('Mugs', 'Bags')`.

Its grammar is LALR(1), so that reading takes time in proportion to the text, whatever it says.
"""

import re
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, VisitError

from serve.stages.filters.expression import (
    TURNED,
    Attribute,
    Compare,
    Every,
    Expression,
    Given,
    Not,
    Operator,
    Scalar,
    Some,
    Term,
    Values,
    n_comparisons,
)
from serve.stages.grammar import UnreadableError, position_of, sentence_of

MAX_LENGTH = 4_000  # characters
MAX_DEPTH = 32  # of parentheses and `not`s around each other
MAX_COMPARISONS = 64
MAX_LIST = 500  # values behind `in`
KEPT = 1_024  # texts whose reading is kept

GRAMMAR = r"""
?start: or
?or: and ("or" and)*                           -> some
?and: test ("and" test)*                       -> every
?test: "not" test                              -> no
     | "(" or ")"
     | term                                    -> true
     | term RELATION term                      -> compare
     | term "has" term                         -> has
     | term "in" "(" value ("," value)* ")"    -> among
     | term "not" "in" "(" value ("," value)* ")" -> not_among
     | value "in" NAME                         -> within
?term: NAME -> name | value -> values
?value: STRING -> text | NUMBER -> number | "true" -> yes | "false" -> no_value

RELATION: "=" | "!=" | "<=" | ">=" | "<" | ">"
STRING: /'(?:[^'\\]|\\.)*'/
NUMBER: /-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?/
NAME: /[A-Za-z_]\w*(?:\.\w+)*/
%ignore /\s+/
"""


class FilterError(UnreadableError):
    """A filter that cannot be read."""

    field = "filter"


class _Tree(Transformer[Token, Expression]):
    """Makes expressions of what the grammar found."""

    def some(self, parts: list[Expression]) -> Expression:
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def every(self, parts: list[Expression]) -> Expression:
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def no(self, parts: list[Expression]) -> Expression:
        return Not(parts[0])

    def true(self, parts: list[Term]) -> Expression:
        return Compare(parts[0], "=", (True,))

    def compare(self, parts: list[Any]) -> Expression:
        left, said, right = parts
        if isinstance(left, Attribute) and isinstance(right, Attribute) and said.value in ("=", "!="):
            raise FilterError("two attributes are compared by < <= > >= alone", said.start_pos + 1)
        if said.value == "!=":
            return Not(_compared(left, "=", right))
        return _compared(left, said.value, right)

    def has(self, parts: list[Any]) -> Expression:
        if isinstance(parts[0], Attribute) and isinstance(parts[1], Attribute):
            raise FilterError("two attributes are compared by < <= > >= alone", 1)
        return _compared(parts[0], "=", parts[1])

    def within(self, parts: list[Any]) -> Expression:
        return _compared((parts[0],), "=", self.name(parts[1:]))

    def among(self, parts: list[Any]) -> Expression:
        term, *values = parts
        if len(values) > MAX_LIST:
            raise FilterError(f"a list has at most {MAX_LIST} values, not {len(values)}", 1)
        return _compared(term, "=", tuple(values))

    def not_among(self, parts: list[Any]) -> Expression:
        return Not(self.among(parts))

    def name(self, parts: list[Token]) -> Term:
        scope, _, name = parts[0].value.partition(".")
        return Given(scope, name) if name and scope in ("context", "user") else Attribute(parts[0].value)

    def values(self, parts: list[Scalar]) -> Values:
        return (parts[0],)

    def text(self, parts: list[Token]) -> str:
        return parts[0].value[1:-1].replace("\\'", "'").replace("\\\\", "\\")

    def number(self, parts: list[Token]) -> float:
        return float(parts[0].value)

    def yes(self, _: list[Token]) -> bool:
        return True

    def no_value(self, _: list[Token]) -> bool:
        return False


PARSER = Lark(GRAMMAR, parser="lalr")
SPELLED = {
    "LPAR": "'('", "RPAR": "')'", "NAME": "an attribute", "STRING": "'text'", "NUMBER": "a number", "COMMA": "','",
    "RELATION": "a comparison", "$END": "the end",
}  # fmt: skip
NESTING = re.compile(r"""'(?:[^'\\]|\\.)*'|[()]|[^\s()']+""")


@lru_cache(KEPT)
def parse(text: str) -> Expression:
    """Return what a filter says; raises FilterError with the place where reading stopped."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter has at most {MAX_LENGTH} characters, not {len(text)}", MAX_LENGTH + 1)
    _require_shallow(text)
    try:
        expression = _Tree().transform(PARSER.parse(text))
    except VisitError as error:
        raise error.orig_exc from None
    except UnexpectedInput as error:
        detail = sentence_of(text, error, SPELLED, "texts stand in single quotes")
        raise FilterError(detail, position_of(text, error)) from None
    if (count := n_comparisons(expression)) > MAX_COMPARISONS:
        raise FilterError(f"a filter compares {MAX_COMPARISONS} times at most, not {count}", 1)
    return expression


def _require_shallow(text: str) -> None:
    """Raise where parts lie in each other so deep that walking through them would take a deep stack."""
    around, negations = [0], 0  # `not`s in front of each open parenthesis, and of what comes next
    for found in NESTING.finditer(text):
        token = found[0]
        if token == "(":
            around.append(negations)
        elif token == ")" and len(around) > 1:
            around.pop()
        negations = negations + 1 if token == "not" else 0
        if len(around) - 1 + sum(around) + negations > MAX_DEPTH:
            raise FilterError(f"parentheses and `not`s may lie {MAX_DEPTH} deep", found.start() + 1)


def _compared(left: Term, relation: Operator, right: Term) -> Expression:
    """Return a comparison whose attribute, if it has one, stands on the left."""
    if isinstance(right, Attribute) and not isinstance(left, Attribute):
        return Compare(right, TURNED[relation], left)
    return Compare(left, relation, right)
