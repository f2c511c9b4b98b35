"""The words of items: how much each candidate says what the shopper's last items said."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from train.encoders.base import clean
from train.models.ragged import places

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


def profiles(words: csr_matrix, lists: Sequence[np.ndarray], decay: float) -> np.ndarray:
    """Return what each list of items says, (s, n_terms) float32 rows of length 1, or zeros.

    An item counts `decay` of the one before it.
    """
    owner, age = places(np.array([len(items) for items in lists], dtype=np.int64))
    item_idx = np.concatenate([np.empty(0, np.int64), *lists])
    item, place = places(words.indptr[item_idx + 1] - words.indptr[item_idx])
    at = words.indptr[item_idx][item] + place
    share = (decay**age).astype(np.float32)[item]
    said = np.zeros((len(lists), words.get_shape()[1]), dtype=np.float32)
    np.add.at(said.ravel(), owner[item] * said.shape[1] + words.indices[at], share * words.data[at])
    said /= np.maximum(np.sqrt(np.vecdot(said, said)), 1e-12)[:, None]
    return said


def alike(words: csr_matrix, lists: Sequence[np.ndarray], said: np.ndarray) -> np.ndarray:
    """Return the cosine of each item's words and of the profile that its list is held against, list after list.

    said: (s, n_terms), a profile for each of s lists. The cosines lie between 0 and 1.
    """
    owner, _ = places(np.array([len(items) for items in lists], dtype=np.int64))
    of_items: Any = words[np.concatenate([np.empty(0, np.int64), *lists])]
    # Each list gets columns of its own: one product for all, as SciPy takes longer to begin one than to finish it.
    of_items.indices += np.repeat((owner * said.shape[1]).astype(words.indices.dtype), np.diff(of_items.indptr))
    of_items.resize((len(owner), said.size))
    return of_items @ said.ravel()
