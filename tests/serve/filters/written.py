"""Expressions drawn at random, and how one is written."""

from hypothesis import strategies as st

from serve.stages.filters.expression import Attribute, Compare, Every, Expression, Not, Scalar, Some, Term

NAMES = ("price", "rating", "brand", "tags", "category", "categoryPath", "id", "inStock", "colour", "catalogue")

scalars = st.one_of(
    st.booleans(), st.sampled_from(["", "a", "b", "it's", "A > B", "\\"]), st.integers(-3, 9).map(float),
    st.floats(-1e6, 1e6),
)  # fmt: skip
attributes = st.sampled_from(NAMES).map(Attribute)
values = st.lists(scalars, min_size=1, max_size=3).map(tuple)
comparisons = st.one_of(
    st.builds(Compare, attributes, st.just("="), values),
    st.builds(Compare, attributes, st.sampled_from(["<", "<=", ">", ">="]), scalars.map(lambda value: (value,))),
    st.builds(Compare, attributes, st.sampled_from(["<", "<=", ">", ">="]), attributes),
)
expressions: st.SearchStrategy[Expression] = st.recursive(
    comparisons,
    lambda parts: st.one_of(
        parts.map(Not),
        st.lists(parts.filter(lambda part: not isinstance(part, Every)), min_size=2, max_size=3).map(
            lambda some: Every(tuple(some))
        ),
        st.lists(parts.filter(lambda part: not isinstance(part, Some)), min_size=2, max_size=3).map(
            lambda some: Some(tuple(some))
        ),
    ),
    max_leaves=6,
)


def written(expression: Expression) -> str:
    """Return an expression as text, with parentheses around every part."""
    match expression:
        case Not(part):
            return f"not ({written(part)})"
        case Every(parts):
            return " and ".join(f"({written(part)})" for part in parts)
        case Some(parts):
            return " or ".join(f"({written(part)})" for part in parts)
        case Compare(left, relation, right):
            if isinstance(right, tuple) and len(right) > 1:
                return f"{_term(left)} in ({', '.join(map(_scalar, right))})"
            return f"{_term(left)} {relation} {_term(right)}"


def _term(term: Term) -> str:
    return _scalar(term[0]) if isinstance(term, tuple) else term.name  # pyright: ignore[reportAttributeAccessIssue]


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
