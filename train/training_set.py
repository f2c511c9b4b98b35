"""All that training reads, as one value that can travel to workers."""

from dataclasses import dataclass

import pandas as pd
from scipy.sparse import csr_matrix

from train.data.schema import Catalogue, Interactions
from train.validation import ValidationSet

TEXT_COLUMNS = ("title", "brand", "category_path", "description")


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """A history, what is known of its items, and the queries that choose between epochs."""

    train: Interactions
    n_items: int
    attributes: csr_matrix | None = None  # (n_items, n_attributes) 0/1
    texts: tuple[str, ...] = ()  # one per item, or none at all
    valid: ValidationSet | None = None

    @classmethod
    def of(cls, catalogue: Catalogue, train: Interactions, valid: ValidationSet | None) -> "TrainingSet":
        """Return what a catalogue and a history teach."""
        return cls(
            train=train, n_items=catalogue.n_items, attributes=catalogue.attributes,
            texts=_texts(catalogue.frame), valid=valid,
        )  # fmt: skip


def _texts(frame: pd.DataFrame) -> tuple[str, ...]:
    columns = [frame[name].fillna("").astype(str) for name in TEXT_COLUMNS if name in frame]
    return tuple(" ".join(parts).strip() for parts in zip(*columns, strict=True))
