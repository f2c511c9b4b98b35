"""The lexicon: which items say the words of a query, and how much that tells."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from serve.state.catalogue import LiveCatalogue
from serve.state.moves import Moves
from train.models.words import terms

READ = ("title", "brand", "category_path", "tags", "attributes", "description")
SATURATION, LENGTH = 1.2, 0.75  # k₁ and b of BM25
FEW, SHARE = 1_000, 0.02  # items written since it was made, or share of all, before it is made anew


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

    Postings are made in a thread, and again when much was written. Items written meanwhile are weighed one by one.
    """

    def __init__(self, catalogue: LiveCatalogue, moves: Moves, builder: Executor | None = None) -> None:
        """Begin to read; moves: which items came, or are others now."""
        self._catalogue, self._moves, self._place = catalogue, moves, moves.place
        self._builder = builder or ThreadPoolExecutor(1, thread_name_prefix="lexicon")
        self._postings: Postings | None = None
        self._later: dict[int, Counter[str]] = {}  # item_idx → its terms, where the postings may know others
        self._build()

    @property
    def building(self) -> Future[Postings] | None:
        """The build under way, which the first search waits for."""
        return self._building

    def scores(self, query: str) -> np.ndarray:
        """Return how well each item answers a query, (n_items,) float32, 0 where it says none of its words."""
        self._catch_up()
        postings = self._postings
        if postings is None:
            return np.zeros(len(self._catalogue), dtype=np.float32)
        said = list(dict.fromkeys(terms(query)))
        score = postings.scores(said, len(self._catalogue))
        for item_idx, counts in self._later.items():
            score[item_idx] = postings.score(said, counts)
        return score

    def _catch_up(self) -> None:
        if self._place != self._moves.place:
            changed, self._place = self._moves.replaced_since(self._place), self._moves.place
            for item_idx in changed.tolist():
                self._later[item_idx] = self._meanwhile[item_idx] = Counter(
                    terms(text_of(self._catalogue.told(item_idx)))
                )
        if self._building is not None and self._building.done():
            self._postings, self._later = self._building.result(), self._meanwhile
            self._building = None
        if self._building is None and len(self._later) > max(FEW, SHARE * len(self._catalogue)):
            self._build()

    def _build(self) -> None:
        self._meanwhile: dict[int, Counter[str]] = {}  # written from here on, whether the thread reads it or not
        n_items = len(self._catalogue)
        self._building: Future[Postings] | None = self._builder.submit(
            lambda: Postings.of(texts(self._catalogue, n_items))
        )


def texts(catalogue: LiveCatalogue, n_items: int) -> Iterator[str]:
    """Yield what the first `n_items` of a catalogue say."""
    frame = catalogue.frame
    columns = [frame[name].tolist() for name in READ if name in frame]
    published = (" ".join(part for value in row for part in _parts(value)) for row in zip(*columns, strict=True))
    for item_idx in range(n_items):
        plain = next(published, "") if item_idx < catalogue.n_published else ""
        yield text_of(catalogue.told(item_idx)) if item_idx in catalogue.written else plain


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
