"""The scenario: what a kind of list is made of, as a document says it."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from cluster.config import Config
from serve.stages.arranging.duration import Duration, milliseconds
from serve.stages.arranging.objective import MAX_LENGTH as MAX_OBJECTIVE
from serve.stages.arranging.objective import parse_objective
from serve.stages.filters.language import MAX_LENGTH, parse
from serve.state.membership import CatalogueName
from train.models.candidates import SourcesConfig

Attribute = Annotated[str, Field(min_length=1, max_length=64)]


class Document(Config):
    """Base of what is written over HTTP: camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Exploration(Document):
    """How some places of a slate are drawn by lot, so that one learns of items that would not be shown else."""

    method: Literal["none", "epsilon", "softmax", "thompson"] = Field(
        default="none", description="by what law: evenly, by utility, or by how much it is in doubt"
    )
    share: float = Field(
        default=0.05, gt=0, le=1, description="of places that are drawn; the others hold the best item left"
    )
    temperature: float = Field(
        default=1.0, ge=1e-3, le=1e3, description="softmax: score that makes an item e times as likely"
    )
    doubt: float = Field(
        default=1.0, ge=1e-3, le=1e3, description="thompson: standard deviation of the score of an item nobody took yet"
    )


class ScenarioConfig(Document):
    """What a kind of list is made of; as it stands, the ranker's own order."""

    catalogue: CatalogueName | None = Field(
        default=None, description="whose items alone are shown, where a request names none; products"
    )
    sources: dict[str, int] = Field(
        default={}, description="items that a source may propose, where not as the bundle says"
    )
    objective: str | None = Field(
        default=None, max_length=MAX_OBJECTIVE, description="what items are ordered by; the ranker's score"
    )
    filter: str | None = Field(default=None, max_length=MAX_LENGTH, description="what items must say of themselves")
    not_purchased_within: Duration | None = Field(
        default=None, description="for how long what the shopper bought, and did not return, is not shown: `30d`"
    )
    max_per: dict[Attribute, Annotated[int, Field(ge=1, le=100)]] = Field(
        default={}, max_length=8, description="most items of a slate with the same value of an attribute"
    )
    diversity: float = Field(
        default=0.0, ge=0, le=1, description="weight of being unlike what stands above; 0 ranks by worth alone"
    )
    exploration: Exploration = Exploration()

    @field_validator("sources")
    @classmethod
    def _within_ranges(cls, sources: dict[str, int]) -> dict[str, int]:
        try:
            SourcesConfig.model_validate(sources)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{first['loc'][0]}: {first['msg']}") from None
        return sources

    @field_validator("filter")
    @classmethod
    def _readable(cls, filter: str | None) -> str | None:
        if filter is not None:
            parse(filter)  # raises FilterError, which says where
        return filter

    @field_validator("objective")
    @classmethod
    def _means_something(cls, objective: str | None) -> str | None:
        if objective is not None:
            parse_objective(objective)  # raises ObjectiveError, which says where
        return objective

    @property
    def not_purchased_within_ms(self) -> int | None:
        """How long that is; nothing where what was bought may be shown."""
        return None if self.not_purchased_within is None else milliseconds(self.not_purchased_within)

    @property
    def is_by_worth(self) -> bool:
        """Whether the worthiest items stand first."""
        return not self.max_per and not self.diversity and self.exploration.method == "none"

    def changed(self, diversity: float | None, explore: bool) -> "ScenarioConfig":
        """Return the scenario with what a request says instead."""
        told: dict[str, Any] = {}
        if diversity is not None:
            told["diversity"] = diversity
        if not explore:
            told["exploration"] = Exploration()
        return self.model_copy(update=told) if told else self
