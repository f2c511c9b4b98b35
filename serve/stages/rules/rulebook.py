"""The rulebook: the rules of a live state, compiled once for each change of them, and those in force for a request."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from serve.stages.filters.expression import Expression, Said, bound, every, holds
from serve.stages.filters.language import parse
from serve.stages.query import Mark
from serve.stages.rules.config import Rule, rule_class
from serve.state.documents import Document, Documents
from serve.state.events import RULE


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A rule as it was written, with its texts read."""

    name: str
    version: int
    config: Rule
    filter: Expression
    when: Expression | None
    is_of_items: bool  # whether `filter` asks nothing of the request

    def about(self, said: Said) -> Expression:
        """Return which items it is about; the same object for every request, where it asks nothing of them."""
        return self.filter if self.is_of_items else bound(self.filter, said)

    def is_in_force(self, said: Said, now: datetime) -> bool:
        """Tell whether it holds for a request at a moment."""
        rule = self.config
        if (rule.starts is not None and now < rule.starts) or (rule.ends is not None and now >= rule.ends):
            return False
        return self.when is None or holds(bound(self.when, said), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The rules that hold for one request, each with the items that it is about."""

    filter: Expression | None = None  # what items must say of themselves for all filter rules, bound
    rules: tuple[tuple[Rule, Expression], ...] = ()  # the other ones, those of high priority first; expressions bound
    versions: tuple[tuple[str, int], ...] = ()  # id and version of all of them

    def marks(self, count: int) -> tuple[Mark, ...]:
        """Return the items that candidates for a list of `count` must be known by, for each of `rules`."""
        return tuple(Mark(expression, rule.wanted(count)) for rule, expression in self.rules)


NO_RULES = InForce()


class Rulebook:
    """The rules of a view's documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._compiled: list[Written] = []
        self._n_changes = -1

    def in_force(self, scenario: str | None, said: Said, now: datetime) -> InForce:
        """Return the rules that hold; scenario: None for a list without one, to which rules of all scenarios apply."""
        rules = [
            rule for rule in self.written()
            if (not rule.config.scenarios or scenario in rule.config.scenarios) and rule.is_in_force(said, now)
        ]  # fmt: skip
        if not rules:
            return NO_RULES
        filters = tuple(rule.about(said) for rule in rules if rule.config.action == "filter")
        others = tuple((rule.config, rule.about(said)) for rule in rules if rule.config.action != "filter")
        versions = tuple((rule.name, rule.version) for rule in rules)
        return InForce(filter=every(*filters), rules=others, versions=versions)

    def written(self) -> list[Written]:
        """Return the rules that are enabled, those of high priority first, and by id among equals."""
        if self._n_changes != self._documents.n_changes:
            found = [_read(*one) for one in self._documents.all(RULE).items()]
            found = [rule for rule in found if rule.config.enabled]
            self._compiled = sorted(found, key=lambda rule: -rule.config.priority)
            self._n_changes = self._documents.n_changes
        return self._compiled


def _read(name: str, document: Document) -> Written:
    content = orjson.loads(document.content)
    config = rule_class(content).model_validate(content)
    when = None if config.when is None else parse(config.when)
    of_items = parse(config.filter)
    return Written(
        name=name, version=document.version, config=config, filter=of_items, when=when,
        is_of_items=bound(of_items, {}) == of_items,
    )  # fmt: skip
