"""Calls that come together are answered together, and each as if it had come alone."""

import asyncio
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from serve.stages.filters.expression import bound
from serve.stages.filters.language import parse
from serve.stages.index.exact import FlatIndex
from serve.stages.query import Query
from serve.stages.ranking import Ranking
from serve.stages.retrieval import Retriever
from serve.stages.together import Together, Turnstile
from serve.state.view import View
from tests.serve.shop import Shop
from train.models.shopper import NO_HISTORY, history_of


class Squares:
    """Work that notes what it was given, and knows no odd roots."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, numbers: list[int]) -> Iterator[int]:
        self.batches.append(numbers)
        for number in numbers:
            if number % 2:
                raise ValueError(f"{number} is odd")
            yield number * number


def answers(work: Squares, numbers: list[int], most: int = 8) -> list[Any]:
    """Return what calls come to that are made in one turn of the loop."""

    async def ask() -> list[Any]:
        together = Together(work, most)
        return await asyncio.gather(*map(together, numbers), return_exceptions=True)

    return asyncio.run(ask())


def test_calls_of_one_turn_are_one_batch_and_each_gets_its_own_answer() -> None:
    work = Squares()
    assert answers(work, [6, 2, 4]) == [36, 4, 16]
    assert work.batches == [[6, 2, 4]]


def test_more_calls_than_one_batch_holds_make_several() -> None:
    work = Squares()
    assert answers(work, [2, 4, 6, 8, 10], most=2) == [4, 16, 36, 64, 100]
    assert work.batches == [[2, 4], [6, 8], [10]]


def test_an_error_is_that_of_the_call_alone_which_it_belongs_to() -> None:
    found = answers(Squares(), [2, 3, 4])
    assert (found[0], found[2]) == (4, 16)
    assert isinstance(found[1], ValueError)
    assert "3 is odd" in str(found[1])


def test_nothing_is_done_for_who_gave_up_before_it_was_begun() -> None:
    work = Squares()

    async def ask() -> int:
        together = Together(work, 8)
        impatient, patient = (asyncio.ensure_future(together(number)) for number in (2, 4))
        await asyncio.sleep(0)  # both wait now, and the work is next
        impatient.cancel()
        return await patient

    assert asyncio.run(ask()) == 16
    assert work.batches == [[4]]


class Passage:
    """People who pass a turnstile, and stay inside until they are let out."""

    def __init__(self) -> None:
        self.turnstile, self.inside, self.out = Turnstile(), list[str](), dict[str, asyncio.Event]()

    def enter(self, name: str) -> asyncio.Task[None]:
        self.out[name] = asyncio.Event()
        return asyncio.ensure_future(self._pass(name))

    async def _pass(self, name: str) -> None:
        async with self.turnstile:
            self.inside.append(name)
            try:
                await self.out[name].wait()
                if name == "broken":
                    raise ValueError(name)
            finally:
                self.inside.remove(name)


async def turns(n: int = 5) -> None:
    """Return after some turns of the event loop, in which all is done that can be."""
    for _ in range(n):
        await asyncio.sleep(0)


def test_who_comes_alone_passes_at_once_and_who_waits_passes_with_all_others() -> None:
    async def work() -> None:
        passage = Passage()
        for name in ("first", "second", "third"):
            passage.enter(name)
        await turns()
        assert passage.inside == ["first"]
        passage.out["first"].set()
        await turns()
        assert passage.inside == ["second", "third"]
        passage.enter("fourth")
        passage.out["second"].set()
        await turns()
        assert passage.inside == ["third"]
        passage.out["third"].set()
        await turns()
        assert passage.inside == ["fourth"]

    asyncio.run(work())


def test_neither_a_failure_nor_one_who_gives_up_closes_the_turnstile() -> None:
    async def work() -> None:
        passage = Passage()
        broken, impatient, patient = (passage.enter(name) for name in ("broken", "impatient", "patient"))
        await turns()
        impatient.cancel()
        passage.out["broken"].set()
        await turns()
        assert isinstance(broken.exception(), ValueError)
        assert passage.inside == ["patient"]
        passage.out["patient"].set()
        await patient
        passage.enter("next")
        await turns()
        assert passage.inside == ["next"]

    asyncio.run(work())


def test_who_gives_up_just_when_let_in_is_out_again() -> None:
    async def work() -> None:
        passage = Passage()
        first, second = passage.enter("first"), passage.enter("second")
        await turns()
        passage.out["first"].set()
        await first  # the second one is let in, and has not gone on yet
        second.cancel()
        passage.enter("third")
        await turns()
        assert passage.inside == ["third"]

    asyncio.run(work())


@pytest.fixture
def view(shop: Shop) -> View:
    """Return a view in which some events happened and an item is gone."""
    for number in range(12):
        shop.click(f"u{number % 4:04d}", f"i{3 * number % 20:04d}")
    shop.client.delete("/v1/catalogues/products/items/i0002")
    behind = shop.lagging_engine().view
    behind.apply([logged.batch for logged in shop.logged()])
    return behind


def queries(shop: Shop) -> list[Query]:
    """Return questions of every kind, of shoppers known and unknown."""
    histories = [NO_HISTORY, *(history_of(shop.bundle.histories, user) for user in range(12))]
    vectors = shop.bundle.model.encode_shoppers(histories)
    vectors[0] = 0
    plain = [
        Query(
            bundle=shop.bundle.manifest.version, history=history, vector=vector, min_version=0, still=at % 3 == 1,
            blocked=np.unique(history.item_idx)[:at],
        )
        for at, (history, vector) in enumerate(zip(histories, vectors, strict=True))
    ]  # fmt: skip
    cheap = bound(parse("price <= 5"), {})
    plain[3] = replace(plain[3], filter=cheap)
    plain[4] = replace(plain[4], only=np.array([1, 2, 5, 9]))
    plain[5] = replace(plain[5], quotas={"sequence": 3, "popular": 2})
    plain[6] = replace(plain[6], filter=cheap)
    return plain


def test_questions_asked_together_are_answered_as_alone_to_the_bit(shop: Shop, view: View) -> None:
    retriever, ranking = Retriever(view, FlatIndex(view.items), shop.bundle.sources), Ranking(view, shop.bundle.ranker)
    asyncio.run(retriever.masks.reading.ready())
    every = queries(shop)
    for first in range(len(every)):  # whatever place each has
        asked = every[first:] + every[:first]
        found = retriever.found(asked)
        ranked = list(ranking.ranked(list(zip(asked, found, strict=True))))
        for query, its_candidates, its_scores in zip(asked, found, ranked, strict=True):
            [alone] = retriever.found([query])
            assert_same(its_candidates, alone)
            assert_same(its_scores, *ranking.ranked([(query, alone)]))


def assert_same(one: Any, other: Any) -> None:
    """Fail unless two values are the same in every array."""
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    else:
        np.testing.assert_array_equal(one, other)
