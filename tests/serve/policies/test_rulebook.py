"""Which rules are in force for a request, and what they do to odds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.stages.filters.expression import bound
from serve.stages.filters.language import parse
from serve.stages.rules.config import RULES, BoostRule, BuryRule, Rule, rule_class
from serve.stages.rules.effects import limits_of, odds, weighed
from serve.stages.rules.rulebook import NO_RULES, InForce, Rulebook
from serve.state.documents import Documents
from serve.state.events import RULE, Write
from train.models.candidates import Candidates, unscored

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
GIVEN = {"context": {"device": ("ios",)}, "user": {"city": ("Oslo",)}}
OTHERS: dict[str, dict[str, Any]] = {
    "filter": {}, "boost": {"factor": 2}, "bury": {"factor": 2}, "pin": {"position": 1}, "cap": {"limit": 1},
    "quota": {"minimum": 1},
}  # fmt: skip


def write(documents: Documents, name: str, action: str = "cap", **said: Any) -> None:
    content = {"action": action, "filter": f"brand = '{name}'", **OTHERS[action], **said}
    documents.write(Write(RULE, name, orjson.dumps(content).decode()))


def carrying(marks: np.ndarray) -> Candidates:
    """Return candidates that carry marks (n, r)."""
    return replace(unscored(np.arange(len(marks))), marks=marks)


def in_force(documents: Documents, scenario: str | None = "home", now: datetime = NOW) -> InForce:
    return Rulebook(documents).in_force(scenario, GIVEN, now)


def names(found: InForce) -> list[Any]:
    """Return which rules are in force, by the brand that each is about."""
    return [expression.right[0] for _, expression in found.rules]  # pyright: ignore


@pytest.mark.parametrize(
    ("said", "is_in_force"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"starts": NOW.isoformat()}, True),
        ({"starts": (NOW + timedelta(milliseconds=1)).isoformat()}, False),
        ({"ends": NOW.isoformat()}, False),
        ({"ends": (NOW + timedelta(milliseconds=1)).isoformat()}, True),
        ({"scenarios": ["home", "else"]}, True),
        ({"scenarios": ["else"]}, False),
        ({"when": "context.device = 'ios' and user.city = 'Oslo'"}, True),
        ({"when": "context.device = 'android'"}, False),
        ({"when": "not user.age > 17"}, True),
    ],
)
def test_a_rule_is_in_force_where_it_says_so(said: dict[str, Any], is_in_force: bool) -> None:
    documents = Documents()
    write(documents, "a", **said)
    assert names(in_force(documents)) == ["a"] * is_in_force


def test_a_list_without_a_scenario_knows_the_rules_of_all() -> None:
    documents = Documents()
    write(documents, "everywhere")
    write(documents, "at home", scenarios=["home"])
    assert names(in_force(documents, None)) == ["everywhere"]


def test_rules_of_high_priority_come_first_and_by_id_among_equals() -> None:
    documents = Documents()
    for name, priority in (("b", 0), ("a", 0), ("d", -1), ("c", 5)):
        write(documents, name, priority=priority)
    assert names(in_force(documents)) == ["c", "a", "b", "d"]


def test_filters_hold_all_at_once_with_the_requests_own_words() -> None:
    documents = Documents()
    write(documents, "a", "filter")
    assert in_force(documents).filter == parse("brand = 'a'")
    write(documents, "b", "filter", filter="city = user.city")
    assert in_force(documents).filter == bound(parse("brand = 'a' and city = user.city"), GIVEN)
    assert in_force(documents).rules == ()


def test_a_change_of_the_documents_counts_at_once() -> None:
    documents = Documents()
    book = Rulebook(documents)
    assert book.in_force("home", GIVEN, NOW) is NO_RULES
    for limit in (1, 2):
        write(documents, "a", limit=limit)
        [(rule, _)] = book.in_force("home", GIVEN, NOW).rules
        assert rule.limit == limit  # pyright: ignore
    documents.write(Write(RULE, "a", ""))
    assert book.in_force("home", GIVEN, NOW) is NO_RULES
    write(documents, "a")
    image = documents.to_array()
    documents.restore(Documents().to_array())
    assert book.in_force("home", GIVEN, NOW) is NO_RULES
    documents.restore(image)
    assert names(book.in_force("home", GIVEN, NOW)) == ["a"]


@pytest.mark.parametrize("action", RULES)
def test_every_action_is_known_by_its_name(action: str) -> None:
    assert rule_class({"action": action}).model_fields["action"].annotation.__args__ == (action,)  # pyright: ignore


@pytest.mark.parametrize(("said", "count", "wanted"), [
    ({"minimum": 3}, 10, 3), ({"minimum": 30}, 10, 10), ({"share": 0.3}, 10, 3), ({"share": 0.07}, 100, 7),
    ({"share": 0.31}, 10, 4), ({"share": 1}, 7, 7),
])  # fmt: skip
def test_a_quota_is_a_number_or_a_share_rounded_up(said: dict[str, Any], count: int, wanted: int) -> None:
    rule = rule_class({"action": "quota"}).model_validate({"action": "quota", "filter": "x", **said})
    assert rule.wanted(count) == wanted


factors = st.floats(1.001, 1e6)
rules = st.lists(
    st.tuples(st.sampled_from([BoostRule, BuryRule]), factors, st.lists(st.booleans(), min_size=5, max_size=5))
)


@given(rules, st.lists(st.floats(-1e6, 1e6, width=32), min_size=5, max_size=5), st.booleans())
def test_odds_are_multiplied_and_what_is_boosted_never_falls(
    told: list[tuple[type[Rule], float, list[bool]]], score: list[float], are_logits: bool
) -> None:
    made = [
        kind.model_validate({"action": kind.__name__[:-4].lower(), "filter": "x", "factor": one})
        for kind, one, _ in told
    ]
    marks = np.array([marked for *_, marked in told], dtype=bool).reshape(len(told), 5).T
    factor = odds(made, carrying(marks))
    if factor is None:
        assert not told
        return
    for item in range(5):
        expected = 1.0
        for kind, one, marked in told:
            expected *= (one if kind is BoostRule else 1 / one) if marked[item] else 1
        assert factor[item] == pytest.approx(expected)
    before = np.array(score, np.float32)
    after = weighed(before, factor, are_logits)
    assert (after[factor >= 1] >= before[factor >= 1]).all()
    assert (after[factor <= 1] <= before[factor <= 1]).all()
    np.testing.assert_array_equal(after[factor == 1], before[factor == 1])


def test_a_boost_makes_an_item_as_many_times_as_likely() -> None:
    logits, factor = np.array([0.3, -2.0, 1.0], np.float32), np.array([1.0, 4.0, 1.0])

    def ratio(score: np.ndarray) -> float:
        return float(np.exp(score[1]) / np.exp(score[0]))

    assert ratio(weighed(logits, factor, True)) == pytest.approx(4 * ratio(logits))


def test_limits_name_the_items_that_each_rule_is_about() -> None:
    def made(action: str, **said: Any) -> Rule:
        return rule_class({"action": action}).model_validate(
            {"action": action, "filter": "x", **OTHERS[action], **said}
        )

    made_of: Sequence[Rule] = [
        made("cap", limit=2),
        made("pin", position=3),
        made("boost"),
        made("quota", minimum=None, share=0.5),
        made("cap"),
    ]
    marks = np.array([[1, 0, 1, 0, 0], [1, 1, 0, 0, 1], [0, 1, 0, 1, 1]], dtype=bool)
    found = limits_of(made_of, carrying(marks), 4)
    assert (found.holder.tolist(), found.value.tolist(), found.limit.tolist()) == ([0, 1, 1, 2], [0, 0, 1, 1], [2, 1])
    assert [(place, many, items.tolist()) for place, many, items in found.pins] == [(2, 1, [1, 2])]
    assert [(minimum, items.tolist()) for minimum, items in found.quotas] == [(2, [2])]
