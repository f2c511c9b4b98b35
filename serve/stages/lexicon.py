"""The lexicon: which items say the words of a query, and how much that tells."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from serve.stages.reading import Contents, Reading
from serve.state.catalogue import LiveCatalogue
from train.models.words import terms

READ = ("title", "brand", "category_path", "tags", "attributes", "description")
SATURATION, LENGTH = 1.2, 0.75  # k₁ and b of BM25


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings:
    """Texts as BM25 weighs their words (Robertson and Zaragoza, 2009, equation 3.15, its idf kept above 0)."""

    index: dict[str, int]  # term → column
    weights: csc_matrix  # (n_texts, n_terms) float32
    idf: np.ndarray  # (n_terms,) float64
    unknown_idf: float  # of a term that no text has
    mean_length: float  # in terms

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Postings":
        """Return the postings of texts."""
        index: dict[str, int] = {}
        row, column, count, lengths = [], [], [], []
        for number, text in enumerate(texts):
            counts = Counter(terms(text))
            lengths.append(counts.total())
            row += [number] * len(counts)
            column += [index.setdefault(term, len(index)) for term in counts]
            count += counts.values()
        n, length = len(lengths), np.array(lengths, dtype=np.float64)
        mean = max(float(length.mean()), 1.0) if n else 1.0
        having = np.bincount(np.array(column, np.int64), minlength=len(index))
        idf = np.log1p((n - having + 0.5) / (having + 0.5))
        weight = idf[column] * _saturated(np.array(count, np.float64), length[row], mean)
        weights = csc_matrix((weight.astype(np.float32), (row, column)), shape=(n, len(index)))
        return cls(index=index, weights=weights, idf=idf, unknown_idf=float(np.log1p(2 * n + 1)), mean_length=mean)

    def scores(self, query: Iterable[str], n_items: int) -> np.ndarray:
        """Return how well each text answers the terms of a query, (n_items,) float32, 0 beyond the last text."""
        score, matrix = np.zeros(n_items, dtype=np.float32), self.weights
        for term in query:
            if (column := self.index.get(term)) is not None:
                part = slice(matrix.indptr[column], matrix.indptr[column + 1])
                score[matrix.indices[part]] += matrix.data[part]
        return score

    def score(self, query: Iterable[str], counts: Counter[str]) -> float:
        """Return how well a text of so many terms that is not among these answers a query."""
        length = counts.total()
        return sum(
            self._idf(term) * float(_saturated(np.float64(counts[term]), length, self.mean_length))
            for term in query if counts[term]
        )  # fmt: skip

    def _idf(self, term: str) -> float:
        column = self.index.get(term)
        return self.unknown_idf if column is None else float(self.idf[column])


class Lexicon:
    """The words of a live catalogue, true to the last write; it belongs to the thread that writes.

    Postings answer for the items that were not written since they were made; the others are weighed one by one.
    """

    def __init__(self, catalogue: LiveCatalogue, builder: Executor | None = None) -> None:
        """Begin to read the catalogue."""
        self._catalogue = catalogue
        self.reading = Reading(catalogue, lambda contents: Postings.of(texts(contents)), builder)
        self._later: dict[int, Counter[str]] = {}  # item_idx → its terms, where the postings may know others
        self._place = 0  # of the catalogue's changes that `_later` reflects
        self._base = 0

    def scores(self, query: str) -> np.ndarray:
        """Return how well each item answers a query, (n_items,) float32, 0 where it says none of its words.

        To be asked once `reading` is ready, without waiting for anything between.
        """
        postings, said = self.reading.now(), list(dict.fromkeys(terms(query)))
        self._catch_up()
        score = postings.scores(said, len(self._catalogue))
        for item_idx, counts in self._later.items():
            score[item_idx] = postings.score(said, counts)
        return score

    def _catch_up(self) -> None:
        if self._base != self.reading.base or any(one >= len(self._catalogue) for one in self._later):
            self._later, self._base, self._place = {}, self.reading.base, self.reading.base
        changes = self._catalogue.changes
        for item_idx in set(changes[self._place :]):
            if item_idx < len(self._catalogue):
                self._later[item_idx] = Counter(terms(text_of(self._catalogue.told(item_idx))))
        self._place = len(changes)


def texts(contents: Contents) -> Iterator[str]:
    """Yield what every item says."""
    frame = contents.frame
    columns = [frame[name].tolist() for name in READ if name in frame]
    published = (" ".join(part for value in row for part in _parts(value)) for row in zip(*columns, strict=True))
    for item_idx in range(len(contents.item_ids)):
        plain = next(published, "") if item_idx < len(frame) else ""
        yield text_of(contents.told(item_idx)) if item_idx in contents.written else plain


def text_of(told: Mapping[str, Any]) -> str:
    """Return what an item says in words; told: as serve.state.catalogue.LiveCatalogue.told."""
    return " ".join(part for name in READ for part in _parts(told.get(name)))


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | np.ndarray):
        yield from (part for part in value if isinstance(part, str))


def _saturated(count: Any, length: Any, mean_length: float) -> Any:
    return count * (SATURATION + 1) / (count + SATURATION * (1 - LENGTH + LENGTH * length / mean_length))
