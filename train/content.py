"""What items say of themselves, from settings to what training reads and a bundle carries."""

from dataclasses import dataclass, replace
from pathlib import Path

from scipy.sparse import csr_matrix

from train.data.prepared import Prepared
from train.data.schema import Catalogue, Interactions
from train.data.steps.reviews import reviews_of_items
from train.encoders.cache import VectorCache
from train.encoders.items import NONE, REVIEWS, ContentConfig, ItemFeatures, item_texts
from train.models.facets import Facets, fit_facets
from train.models.neural.content_tower import ItemContent
from train.models.words import fit_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A catalogue in numbers, and how to describe items that come after it."""

    words: csr_matrix  # (n_items, n_terms), see train/models/words.py
    facets: Facets
    content: ItemContent | None = None
    features: ItemFeatures | None = None


def describe(
    prepared: Prepared, train: Interactions, config: ContentConfig, known: ItemFeatures | None = None
) -> Described:  # fmt: skip
    """Return the words and facets of a catalogue's items, and their content unless the settings say none.

    train: rows that may be learned from, and so whose reviews may be read.
    known: how an earlier bundle describes items, for a model that learned to read just that.
    """
    words, facets = fit_words(item_texts(prepared.catalogue.frame)), fit_facets(prepared.catalogue.frame)
    if config.content == NONE:
        return Described(words=words, facets=facets, features=ItemFeatures.of_attributes(prepared.catalogue))
    catalogue = _reviewed(prepared, train) if REVIEWS in config.names else prepared.catalogue
    cache = VectorCache(Path(config.content_cache))
    features = known.moved_to(catalogue) if known else ItemFeatures.fit(catalogue, config.content, cache)
    found = features.of(catalogue.frame, cache, catalogue.folder)
    content = ItemContent(dense=found.dense, dropout=config.content_dropout)
    return Described(words=words, facets=facets, content=content, features=features)


def _reviewed(prepared: Prepared, train: Interactions) -> Catalogue:
    catalogue = prepared.catalogue
    said = reviews_of_items(prepared.reviews, train, catalogue.n_items)
    return replace(catalogue, frame=catalogue.frame.assign(reviews=said["reviews"], stars=said["stars"]))
