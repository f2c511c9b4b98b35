"""Items over HTTP."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from serve.api.schemas import Finite, Id, ProblemBody, Wire, shallow

Label = Annotated[str, Field(min_length=1, max_length=256)]


class ItemBody(Wire):
    """What an item says of itself; all of it may be missing."""

    title: str | None = Field(None, max_length=1_000)
    description: str | None = Field(None, max_length=10_000)
    category_path: str | None = Field(None, max_length=1_000, description="levels, such as `Kitchen > Mugs`")
    tags: list[Label] = Field(default_factory=list, max_length=100)
    brand: str | None = Field(None, max_length=1_000)
    price: Finite | None = Field(None, ge=0)
    rating: Finite | None = None
    image: str | None = Field(None, max_length=2_000, description="given back with the item")
    attributes: list[Label] = Field(default_factory=list, max_length=100)
    properties: Annotated[dict[str, Any], AfterValidator(shallow)] = Field(
        default_factory=dict, max_length=100, description="anything else, given back with the item"
    )


class ItemLine(ItemBody):
    """An item in a batch."""

    id: Id
    deleted: Literal[True] | None = Field(None, description="offered no longer")


class ItemAnswer(BaseModel):
    """An item as it is now."""

    id: str
    version: int = Field(description="as minVersion it makes an answer reflect this item")
    title: str | None = None
    description: str | None = None
    categoryPath: str | None = None
    tags: list[str] | None = None
    brand: str | None = None
    price: float | None = None
    rating: float | None = None
    image: str | None = None
    attributes: list[str] | None = None
    properties: dict[str, Any] | None = None


class ItemsAnswer(BaseModel):
    """A page of a catalogue, in an order that writes do not change."""

    items: list[ItemAnswer]
    next: str | None = Field(description="the `cursor` of the next page; none after the last item")


class CatalogueAnswer(BaseModel):
    """A catalogue of the shop."""

    name: str
    items: int = Field(description="that it offers")


class CataloguesAnswer(BaseModel):
    """Every catalogue, in the order of names."""

    catalogues: list[CatalogueAnswer]


class DeletionAnswer(BaseModel):
    """An item that is offered no longer."""

    id: str
    version: int


class LineAnswer(BaseModel):
    """What became of one line of a batch."""

    id: str | None
    status: Literal["applied", "unchanged", "rejected"]
    version: int | None
    problem: ProblemBody | None
