"""Rules as documents say them: one class for each action, since each needs settings of its own."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, ValidationInfo, field_validator, model_validator

from cluster.config import Config
from cluster.errors import UnprocessableError
from serve.stages.filters.expression import attributes
from serve.stages.filters.language import MAX_LENGTH, FilterError, parse
from serve.stages.grammar import UnreadableError

ROUNDING = 1e-9  # 0.07 × 100 is 7.000000000000001
Action = Literal["filter", "boost", "bury", "pin", "cap", "quota"]


class WhenError(UnreadableError):
    """A condition that cannot be read, or that asks of items."""

    field = "when"


class UnsoundRuleError(UnprocessableError):
    """A rule whose settings do not go together."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.errors = [{"pointer": f"/{field}", "detail": detail}]


def _of_items(text: str) -> str:
    parse(text)  # raises FilterError, which says where
    return text


def _of_the_request(text: str) -> str:
    try:
        asked = attributes(parse(text))
    except FilterError as error:
        [found] = error.errors
        raise WhenError(found["detail"], found["position"]) from None
    if asked:
        name = min(asked, key=text.index)
        detail = f"{name!r} is said of items; of a request one asks for context.… and user.…"
        raise WhenError(detail, text.index(name) + 1)
    return text


OfItems = Annotated[str, Field(max_length=MAX_LENGTH), AfterValidator(_of_items)]
OfTheRequest = Annotated[str, Field(max_length=MAX_LENGTH), AfterValidator(_of_the_request)]
ScenarioName = Annotated[str, Field(min_length=1, max_length=128)]


class Rule(Config):
    """What all rules say alike."""

    action: Action
    filter: OfItems = Field(description="which items it is about: `brand = 'Acme' and price < 20`")
    when: OfTheRequest | None = Field(
        default=None, description="of which requests it holds: `context.device = 'ios' and user.city = 'Oslo'`"
    )
    scenarios: tuple[ScenarioName, ...] = Field(default=(), max_length=100, description="in which; in all when empty")
    priority: int = Field(
        default=0, ge=-1_000, le=1_000, description="among rules of one action the highest goes first"
    )
    starts: AwareDatetime | None = Field(default=None, description="before which it does not hold")
    ends: AwareDatetime | None = Field(default=None, description="from which on it holds no more")
    enabled: bool = True
    note: str = Field(default="", max_length=1_000, description="why, for whoever reads it later")

    @property
    def is_limit(self) -> bool:
        """Whether it says what a list as a whole must be like."""
        return self.action in ("pin", "cap", "quota")

    def wanted(self, count: int) -> int:
        """Return how many of what matches must be among the candidates for a list of `count`."""
        return 0

    @field_validator("ends")
    @classmethod
    def _after_start(cls, ends: datetime | None, info: ValidationInfo) -> datetime | None:
        starts = info.data.get("starts")
        if ends is not None and starts is not None and ends <= starts:
            raise UnsoundRuleError("ends", "the rule ends before it starts")
        return ends


class FilterRule(Rule):
    """Only what matches may be shown."""

    action: Literal["filter"]


class BoostRule(Rule):
    """The odds of what matches are multiplied."""

    action: Literal["boost"]
    factor: float = Field(gt=1, le=1e6, description="by which the odds are multiplied")


class BuryRule(Rule):
    """The odds of what matches are divided."""

    action: Literal["bury"]
    factor: float = Field(gt=1, le=1e6, description="by which the odds are divided")


class PinRule(Rule):
    """The best of what matches stands at a place of its own."""

    action: Literal["pin"]
    position: int = Field(ge=1, le=100, description="its rank, from 1; where that is taken, the next one")
    limit: int = Field(default=1, ge=1, le=20, description="how many of what matches are pinned, one below the other")

    def wanted(self, count: int) -> int:
        return self.limit


class CapRule(Rule):
    """No more than so many of what matches are shown."""

    action: Literal["cap"]
    limit: int = Field(ge=0, le=100, description="most items of a list that may match")


class QuotaRule(Rule):
    """At least so many of what matches are shown, where there are as many."""

    action: Literal["quota"]
    minimum: int | None = Field(default=None, ge=1, le=100, description="items of a list that must match")
    share: float | None = Field(default=None, gt=0, le=1, description="of a list that must match, rounded up")

    def wanted(self, count: int) -> int:
        return min(count, self.minimum or math.ceil((self.share or 0) * count - ROUNDING))

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.minimum is None) == (self.share is None):
            raise UnsoundRuleError("minimum", "give either `minimum` or `share`")
        return self


RULES: dict[str, type[Rule]] = {
    "filter": FilterRule, "boost": BoostRule, "bury": BuryRule, "pin": PinRule, "cap": CapRule, "quota": QuotaRule
}  # fmt: skip


def rule_class(content: Any) -> type[Rule]:
    """Return what a rule's content must be like, by its action; the common part where that is none."""
    action = content.get("action") if isinstance(content, dict) else None
    return RULES.get(action, Rule) if isinstance(action, str) else Rule
