"""The words of items: how much each candidate says what the shopper's last items said."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from train.encoders.base import clean

MAX_TERMS = 65_536  # the most frequent, so that a profile fits into a processor's cache
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # scripts that put no blanks between words
TERM = re.compile(rf"[{IDEOGRAPHS}]+|(?:(?![{IDEOGRAPHS}])\w)+")
IDEOGRAPH = re.compile(f"[{IDEOGRAPHS}]")


def fit_words(texts: Sequence[str]) -> csr_matrix:
    """Return TF-IDF rows of length 1, (n_items, n_terms) float32; a row is empty where an item says nothing.

    Exact words tell items apart that a narrow dense vector takes for the same (Salton and Buckley, 1988).
    """
    known = [clean(text) for text in texts]
    if not any(map(terms, known)):
        return no_words(len(texts))
    from sklearn.feature_extraction.text import TfidfVectorizer  # late: a second that serving need not wait

    settings: dict[str, Any] = {"analyzer": terms, "max_features": MAX_TERMS, "sublinear_tf": True, "dtype": np.float32}
    vectorizer = TfidfVectorizer(**settings)
    rows: Any = vectorizer.fit_transform(known)
    return csr_matrix(rows)


def no_words(n_items: int) -> csr_matrix:
    """Return the words of a catalogue without any, (n_items, 0)."""
    return csr_matrix(np.empty((n_items, 0), dtype=np.float32))


def terms(text: str) -> list[str]:
    """Return a text's words in lower case; of scripts without blanks, each pair of neighbouring characters."""
    found: list[str] = []
    for run in TERM.findall(text.lower()):
        paired = len(run) > 2 and IDEOGRAPH.match(run)
        found += [run[start : start + 2] for start in range(len(run) - 1)] if paired else [run]
    return found


def profile(words: csr_matrix, item_idx: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return what some items (k,) say together, each with its weight, (n_terms,) float32 of length 1, or zeros."""
    said = np.zeros(words.get_shape()[1], dtype=np.float32)
    for item, share in zip(item_idx.tolist(), weight.tolist(), strict=True):
        row = slice(words.indptr[item], words.indptr[item + 1])
        said[words.indices[row]] += np.float32(share) * words.data[row]
    return said / max(float(np.sqrt(said @ said)), 1e-12)


def alike(words: csr_matrix, item_idx: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Return the cosine of each item's words (n,) and of a `profile`, between 0 and 1."""
    if not words.get_shape()[1]:
        return np.zeros(len(item_idx), dtype=np.float32)
    return words[item_idx] @ said
