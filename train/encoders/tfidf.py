"""TF-IDF over words and characters, narrowed by an SVD: the lexical encoder, fitted on a catalogue's own texts."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix, hstack

from cluster.errors import DataError
from train.encoders.base import Encoder, Kind, Space, clean

DIM = 256
MAX_TEXTS = 50_000  # more teach no better axes; the fit is on a sample of them
HANDFUL = 100
MAX_TERMS = 16_000  # of each kind, the most frequent
# Characters find what words miss: inflections, misspellings, and scripts that put no blanks between words.
KINDS: tuple[dict[str, Any], ...] = (
    {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"\w+"},
    {"analyzer": "char_wb", "ngram_range": (2, 4)},
)
COMMON: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float32}
VOCABULARY, ARRAYS = "tfidf.json", "tfidf.safetensors"


@dataclass(frozen=True, eq=False)
class Tfidf(Encoder):
    """Latent semantic analysis (Deerwester et al., 1990): TF-IDF rows of words and characters, times an SVD's axes."""

    terms: tuple[tuple[str, ...], ...]  # of words, of characters
    idf: tuple[np.ndarray, ...]  # one per kind: (terms,) float32
    axes: np.ndarray  # (terms of both kinds, dim) float16

    @classmethod
    def fit(cls, texts: Sequence[str], dim: int = DIM, seed: int = 0) -> "Tfidf":
        """Return an encoder of the words in `texts`; its dim is smaller where they span fewer directions."""
        known = [text for text in map(clean, texts) if text]
        if len(known) > MAX_TEXTS:
            chosen = np.random.default_rng(seed).choice(len(known), MAX_TEXTS, replace=False)
            known = [known[row] for row in np.sort(chosen)]
        vectorizers = [_fitted(kind, known) for kind in KINDS]
        axes = _axes(_side_by_side(vectorizers, known), dim, seed)
        return cls(
            terms=tuple(tuple(map(str, vectorizer.get_feature_names_out())) for vectorizer in vectorizers),
            idf=tuple(vectorizer.idf_.astype(np.float32) for vectorizer in vectorizers),
            axes=axes.astype(np.float16),
        )

    @classmethod
    def load(cls, folder: Path) -> "Tfidf":
        """Return what `save` wrote."""
        arrays = load_file(folder / ARRAYS)
        terms = json.loads((folder / VOCABULARY).read_text())
        return cls(
            terms=tuple(map(tuple, terms)), idf=tuple(arrays[f"idf{kind}"] for kind in range(len(KINDS))),
            axes=arrays["axes"],
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write the words as JSON and the numbers as safetensors."""
        (folder / VOCABULARY).write_text(json.dumps(self.terms, ensure_ascii=False))
        save_file({"axes": self.axes, **{f"idf{kind}": idf for kind, idf in enumerate(self.idf)}}, folder / ARRAYS)

    @cached_property
    def space(self) -> Space:
        digest = hashlib.sha256(json.dumps(self.terms).encode())
        for array in (*self.idf, self.axes):
            digest.update(np.ascontiguousarray(array).tobytes())
        return Space(name="tfidf", version=digest.hexdigest()[:12], dim=self.axes.shape[1])

    @cached_property
    def _vectorizers(self) -> list[Any]:
        return [_restored(*parts) for parts in zip(KINDS, self.terms, self.idf, strict=True)]

    @cached_property
    def _wide_axes(self) -> np.ndarray:
        return self.axes.astype(np.float32)

    def _vectors(self, texts: list[str], kind: Kind) -> np.ndarray:
        return _side_by_side(self._vectorizers, texts) @ self._wide_axes


def _vectorizer(kind: dict[str, Any], **more: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # late: a second that serving need not wait

    return TfidfVectorizer(**kind, **COMMON, **more)


def _fitted(kind: dict[str, Any], texts: list[str]) -> Any:
    # A term of one text relates it to no other; in a handful of texts, or where none is shared, all are kept.
    for least in (2, 1) if len(texts) > HANDFUL else (1,):
        with suppress(ValueError):  # scikit-learn's word for an empty vocabulary
            return _vectorizer(kind, max_features=MAX_TERMS, min_df=least).fit(texts)
    raise DataError(f"tfidf needs words, but {len(texts)} texts hold none; give items a title, or set content=none")


def _restored(kind: dict[str, Any], terms: Sequence[str], idf: np.ndarray) -> Any:
    vectorizer = _vectorizer(kind, vocabulary={term: column for column, term in enumerate(terms)})
    vectorizer.idf_ = idf
    return vectorizer


def _side_by_side(vectorizers: list[Any], texts: list[str]) -> csr_matrix:
    return csr_matrix(hstack([vectorizer.transform(texts) for vectorizer in vectorizers]))


def _axes(matrix: csr_matrix, dim: int, seed: int) -> np.ndarray:
    """Return the directions of a matrix (texts, terms) that explain most of it, (terms, dim or fewer)."""
    from sklearn.decomposition import TruncatedSVD  # late, as above

    with np.errstate(invalid="ignore"):  # equal texts have no variance to explain
        svd: Any = TruncatedSVD(min(dim, *matrix.get_shape()), random_state=seed).fit(matrix)
    return svd.components_.T
