"""All that training reads, as one value that can travel to workers."""

from dataclasses import dataclass

from scipy.sparse import csr_matrix
from torch import Tensor

from train.data.schema import EVERY, Catalogue, Interactions, Wanted
from train.encoders.items import item_texts
from train.models.neural.content_tower import ItemContent
from train.validation import ValidationSet


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """A history, what is known of its items, and the queries that choose between epochs."""

    train: Interactions
    n_items: int
    attributes: csr_matrix | None = None  # (n_items, n_attributes) 0/1
    texts: tuple[str, ...] = ()  # one per item, or none at all
    content: ItemContent | None = None
    valid: ValidationSet | None = None
    wanted: Wanted = EVERY  # which rows of `train` are aimed at
    start: dict[str, Tensor] | None = None  # first weights, see train/warm_start.py

    @classmethod
    def of(
        cls, catalogue: Catalogue, train: Interactions, valid: ValidationSet | None, content: ItemContent | None = None,
        wanted: Wanted = EVERY,
    ) -> "TrainingSet":  # fmt: skip
        """Return what a catalogue and a history teach."""
        return cls(
            train=train, n_items=catalogue.n_items, attributes=catalogue.attributes,
            texts=tuple(item_texts(catalogue.frame)), content=content, valid=valid, wanted=wanted,
        )  # fmt: skip
