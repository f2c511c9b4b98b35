"""What items say of themselves, from settings to what training reads and a bundle carries."""

from dataclasses import dataclass
from pathlib import Path

from train.data.schema import Catalogue
from train.encoders.cache import VectorCache
from train.encoders.items import NONE, ContentConfig, ItemFeatures
from train.models.neural.content_tower import ItemContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A catalogue in numbers, and how to describe items that come after it."""

    content: ItemContent | None = None
    features: ItemFeatures | None = None


def describe(catalogue: Catalogue, config: ContentConfig, known: ItemFeatures | None = None) -> Described:
    """Return the content of a catalogue's items, or nothing where the settings say none.

    known: how an earlier bundle describes items, for a model that learned to read just that.
    """
    if config.content == NONE:
        return Described()
    features = known.moved_to(catalogue) if known else ItemFeatures.fit(catalogue, config.content)
    found = features.of(catalogue.frame, VectorCache(Path(config.content_cache)))
    return Described(content=ItemContent(dense=found.dense, dropout=config.content_dropout), features=features)
