"""What items say of themselves, from settings to what training reads and a bundle carries."""

from dataclasses import dataclass
from pathlib import Path

from scipy.sparse import csr_matrix

from train.data.schema import Catalogue
from train.encoders.cache import VectorCache
from train.encoders.items import NONE, ContentConfig, ItemFeatures, item_texts
from train.models.neural.content_tower import ItemContent
from train.models.words import fit_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A catalogue in numbers, and how to describe items that come after it."""

    words: csr_matrix  # (n_items, n_terms), see train/models/words.py
    content: ItemContent | None = None
    features: ItemFeatures | None = None


def describe(catalogue: Catalogue, config: ContentConfig, known: ItemFeatures | None = None) -> Described:
    """Return the words of a catalogue's items, and their content unless the settings say none.

    known: how an earlier bundle describes items, for a model that learned to read just that.
    """
    words = fit_words(item_texts(catalogue.frame))
    if config.content == NONE:
        return Described(words=words)
    cache = VectorCache(Path(config.content_cache))
    features = known.moved_to(catalogue) if known else ItemFeatures.fit(catalogue, config.content, cache)
    found = features.of(catalogue.frame, cache, catalogue.folder)
    content = ItemContent(dense=found.dense, dropout=config.content_dropout)
    return Described(words=words, content=content, features=features)
