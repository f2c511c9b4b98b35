"""What a text says of an item, good or bad: a linear model over hashed n-grams, fitted on a shop's own reviews."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from scipy.sparse import csr_matrix

from train.encoders.base import clean
from train.models.words import terms

BITS = 17  # of a bucket; what shares one by chance is averaged
BUCKETS = 1 << BITS
LONGEST_GRAM = 4  # characters
MOST_TEXTS = 20_000  # more hardly teach more, and take their time
INVERSE_RIDGE = 5.0  # the C of a logistic regression over rows of length 1
MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True)
class Sentiment:
    """opinion = tanh((bias + Σ weight of the text's n-grams / √their number) / 2), between −1 and 1."""

    weight: np.ndarray  # (BUCKETS,) float32
    bias: float

    def of(self, text: str) -> float | None:
        """Return what stars would say on average of an item that this is written of; None for an empty text."""
        found = buckets(text)
        return float(np.tanh((self.bias + self.weight[found].sum() / np.sqrt(len(found))) / 2)) if len(found) else None


def fit_sentiment(texts: Sequence[str], opinions: np.ndarray, seed: int = 0) -> Sentiment:
    """Return a model of texts whose opinions (n,) from −1 to 1 are known, some on either side of 0.

    A text is taken as a mixture of a good and a bad one, so that a logistic regression gives the mean of what is said.
    """
    from sklearn.linear_model import LogisticRegression  # late: a second that serving need not wait

    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:MOST_TEXTS])
    rows, good = _matrix([texts[int(row)] for row in chosen]), (1 + opinions[chosen]) / 2
    sides = [np.flatnonzero(share > 0) for share in (good, 1 - good)]
    label = np.repeat([1, 0], [len(side) for side in sides])
    weight = np.concatenate((good[sides[0]], 1 - good[sides[1]]))
    model: Any = LogisticRegression(C=INVERSE_RIDGE, max_iter=200)
    model.fit(rows[np.concatenate(sides)], label, sample_weight=weight)
    return Sentiment(weight=model.coef_[0].astype(np.float32), bias=float(model.intercept_[0]))


def buckets(text: str) -> np.ndarray:
    """Return the distinct hashed n-grams of a text, ascending: 1 to 4 characters, words, and pairs of words."""
    plain = clean(text).lower()
    if not plain:
        return np.empty(0, np.int64)
    code = np.frombuffer(f" {plain} ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    gram, found = np.zeros(len(code) + 1, np.uint64), []
    for n in range(1, min(LONGEST_GRAM, len(code)) + 1):
        gram = (gram[:-1] + np.uint64(n)) * MIX + code[n - 1 :]
        found.append((gram ^ (gram >> np.uint64(29))) * MIX >> np.uint64(64 - BITS))
    words = [word.encode() for word in terms(plain)]
    spelled = [crc32(word) % BUCKETS for word in (*words, *map(b" ".join, pairwise(words)))]
    return np.unique(np.concatenate([*found, np.array(spelled, np.uint64)])).astype(np.int64)


def _matrix(texts: Sequence[str]) -> csr_matrix:
    """Return rows of length 1, (n, BUCKETS) float32, or empty ones."""
    found = [buckets(text) for text in texts]
    counts = np.array([len(one) for one in found], dtype=np.int64)
    value = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
    indices = np.concatenate([np.empty(0, np.int64), *found])
    return csr_matrix((value, indices, np.concatenate(([0], np.cumsum(counts)))), shape=(len(texts), BUCKETS))
