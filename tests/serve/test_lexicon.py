"""The lexicon against BM25 worked out item by item, whatever is written and whenever it is read."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import UnavailableError
from serve.stages import reading
from serve.stages.lexicon import Lexicon, Postings, text_of
from tests.serve.written_catalogue import WrittenCatalogue
from train.models.words import terms

FRAME = pd.DataFrame({
    "item_id": ["p", "q", "r", "s"],
    "title": ["blue mug", "red mug red", None, "茶杯 blue"],
    "tags": [["gift"], [], None, ["blue", "tea"]],
})  # fmt: skip
WORDS = ["blue", "red", "mug", "gift", "tea", "茶杯", "never"]

said = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
writes = st.tuples(st.sampled_from(["p", "q", "new"]), st.one_of(st.none(), st.fixed_dictionaries({"title": said})))


def bm25(query: str, texts: list[str], known: list[str]) -> list[float]:
    """Return the scores of texts, with the counts that `known` texts give (Robertson and Zaragoza, 2009)."""
    words = [terms(text) for text in known]
    mean = max(sum(map(len, words)) / len(words), 1)
    scores = []
    for text in texts:
        counts, score = Counter(terms(text)), 0.0
        for term in dict.fromkeys(terms(query)):
            having = sum(term in one for one in words)
            idf = math.log(1 + (len(words) - having + 0.5) / (having + 0.5))
            length = 1 - 0.75 + 0.75 * counts.total() / mean
            score += idf * counts[term] * 2.2 / (counts[term] + 1.2 * length)
        scores.append(score)
    return scores


class Shelf(WrittenCatalogue):
    """A catalogue and the lexicon of it."""

    def __init__(self) -> None:
        super().__init__(FRAME)
        self.lexicon = Lexicon(self.catalogue, self.builder)

    def texts(self) -> list[str]:
        return [text_of(told) for told in self.all_told()]


@given(st.lists(writes, max_size=5), st.lists(writes, max_size=5), said)
def test_scores_are_those_of_bm25_true_to_the_last_write(
    before: list[tuple[str, Any]], after: list[tuple[str, Any]], query: str
) -> None:
    shelf = Shelf()
    known = shelf.texts()
    for write in before:  # while the thread has not read yet
        shelf.write(*write)
    shelf.builder.run()
    for write in after:
        shelf.write(*write)
    shelf.lexicon.reading.catch_up()
    np.testing.assert_allclose(shelf.lexicon.scores(query), bm25(query, shelf.texts(), known), rtol=1e-5)


def test_nothing_is_found_before_the_catalogue_was_read() -> None:
    shelf = Shelf()
    with pytest.raises(UnavailableError):
        shelf.lexicon.scores("mug")


def test_much_that_was_written_is_read_anew_and_asked_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FEW", 0)
    shelf = Shelf()
    shelf.builder.run()
    known = shelf.texts()
    shelf.write("new", {"title": "green mug"})
    shelf.lexicon.reading.catch_up()
    assert shelf.builder.waiting
    np.testing.assert_allclose(shelf.lexicon.scores("green"), bm25("green", shelf.texts(), known), rtol=1e-5)
    shelf.write("newer", {"title": "green tea"})
    shelf.builder.run()
    shelf.lexicon.reading.catch_up()
    texts = shelf.texts()
    np.testing.assert_allclose(shelf.lexicon.scores("green tea"), bm25("green tea", texts, texts[:5]), rtol=1e-5)


def test_nothing_to_read_is_no_error() -> None:
    assert Postings.of([]).scores(["mug"], 2).tolist() == [0, 0]
    assert Postings.of(["", ""]).scores(["mug"], 2).tolist() == [0, 0]
