"""Encoding: the model is asked once for each history that somebody holds, and never answers for another one."""

import asyncio
from dataclasses import replace
from typing import cast

import numpy as np

from serve.stages.encoding import Encoding
from train.data.told import HOUR_MS
from train.models.base import VectorModel
from train.models.shopper import NO_HISTORY, History

TRAITS = np.ones(2, np.float32)


class Sums:
    """A model whose vectors tell what a history holds, and that counts whom it is asked about."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def encode_shoppers(self, shoppers: list[History]) -> np.ndarray:
        self.asked += [shopper.item_idx.tolist() for shopper in shoppers]
        known = [0.0 if shopper.traits is None else shopper.traits.sum() for shopper in shoppers]
        return np.array([[shopper.item_idx.sum(), told] for shopper, told in zip(shoppers, known, strict=True)])


def history(*items: int) -> History:
    """Return a history of items."""
    found = NO_HISTORY
    for time_ms, item_idx in enumerate(items):
        found = found.appended(item_idx, time_ms, same_order=False)
    return found


def encoded(encoding: Encoding, *histories: History) -> list[list[float]]:
    """Return what a call comes to."""
    return [vector.tolist() for vector in asyncio.run(encoding(histories))]


def test_a_history_is_encoded_once_whatever_else_is_said_of_it() -> None:
    model = Sums()
    encoding, one, other = Encoding(cast(VectorModel, model)), history(1, 2), history(1, 2)
    assert encoded(encoding, one, other) == [[3, 0], [3, 0]]
    assert encoded(encoding, replace(one, is_open=True), history(5), other) == [[3, 0], [5, 0], [3, 0]]
    assert model.asked == [[1, 2], [1, 2], [5]]


def test_one_more_event_or_other_traits_are_another_question() -> None:
    model = Sums()
    encoding, one = Encoding(cast(VectorModel, model)), history(1, 2)
    described = replace(one, traits=TRAITS)
    longer = one.appended(4, 9, same_order=False)
    assert encoded(encoding, one, described, longer) == [[3, 0], [3, 2], [7, 0]]
    assert encoded(encoding, one) == [[3, 0]]
    assert encoded(encoding, described) == [[3, 2]]


def test_another_hour_is_another_question_and_the_same_one_is_none() -> None:
    model, (begun, soon, late) = Sums(), (0, HOUR_MS - 1, HOUR_MS)
    encoding, one = Encoding(cast(VectorModel, model)), history(1, 2)
    for asked_ms in (begun, soon, late):
        encoded(encoding, replace(one, asked_ms=asked_ms))
    assert len(model.asked) == 2


def test_nothing_is_kept_of_a_history_that_nobody_holds() -> None:
    encoding, kept = Encoding(cast(VectorModel, Sums())), history(1)
    for item_idx in range(50):
        assert encoded(encoding, history(item_idx), kept) == [[item_idx, 0], [1, 0]]
    assert len(encoding) == 1
