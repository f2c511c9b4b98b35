"""Folded items say the same in fewer bytes, of known items and of new ones."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy.sparse import csr_matrix
from torch import nn

from train.encoders.features import Features
from train.models.neural.content_tower import ContentTower, ItemContent
from train.models.neural.folded import FoldedItems
from train.models.neural.transformer import Transformer, TransformerConfig
from train.models.neural.two_tower import TwoTower, TwoTowerConfig
from train.models.quantised import to_int8
from train.models.registered import build_model, describe_model

N_ITEMS, D = 30, 5
RNG = np.random.default_rng(0)
DENSE = RNG.standard_normal((N_ITEMS, D)).astype(np.float16).astype(np.float32)
ATTRIBUTES = csr_matrix((RNG.random((N_ITEMS, 4)) < 0.5).astype(np.float32))
NEW = Features(dense=DENSE[:7], attributes=csr_matrix(ATTRIBUTES[3:10]))
HISTORIES = [np.array([0, 1, 2]), np.array([7]), np.empty(0, np.int64), np.array([29, 99, 3])]
SHAPES = pytest.mark.parametrize("tower", [False, True])
PARTS = pytest.mark.parametrize("attributes", [None, ATTRIBUTES], ids=["plain", "attributes"])
KINDS = pytest.mark.parametrize("kind", [Transformer, TwoTower])
CONFIGS = {
    Transformer: TransformerConfig(embedding_dim=8, max_length=6),
    TwoTower: TwoTowerConfig(embedding_dim=8, max_length=6),
}  # fmt: skip


def model_of(kind: Any, attributes: csr_matrix | None, tower: bool) -> Any:
    torch.manual_seed(0)
    model = kind(CONFIGS[kind], N_ITEMS, attributes)
    if tower:
        model.items.tower = ContentTower(ItemContent(dense=DENSE), np.arange(N_ITEMS) < 25, 8)
    return model.eval()


def folded(model: Any) -> Any:
    smaller = copy.deepcopy(model)
    smaller.items = FoldedItems.of(smaller.items)
    return smaller


def saved_and_built(model: Any) -> tuple[Any, int]:
    """Return the model out of its file, and the file's length."""
    content = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    return build_model(describe_model(model), load(content)), len(content)


@KINDS
@PARTS
@SHAPES
def test_it_answers_as_before_also_once_saved(kind: type, attributes: csr_matrix | None, tower: bool) -> None:
    model = model_of(kind, attributes, tower)
    smaller = folded(model)
    rebuilt, _ = saved_and_built(smaller)
    for one in (smaller, rebuilt):
        np.testing.assert_array_equal(one.scores(HISTORIES), model.scores(HISTORIES))
        features = NEW if attributes is not None else Features(dense=NEW.dense, attributes=csr_matrix((7, 0)))
        np.testing.assert_array_equal(one.content_vectors(features), model.content_vectors(features))


@KINDS
def test_the_file_no_longer_grows_with_what_items_say(kind: type) -> None:
    plain, rich = (saved_and_built(folded(model_of(kind, *parts)))[1] for parts in ((None, False), (ATTRIBUTES, True)))
    described = 4 * (4 * 8 + (D + 1) * 16 + (16 + 1) * 8)  # the attributes' and the tower's weights, not the items'
    assert rich - plain < described + 700  # and their names


@SHAPES
def test_in_eight_bits_it_is_built_again_too(tower: bool) -> None:
    smaller = folded(model_of(Transformer, ATTRIBUTES, tower))
    before = saved_and_built(smaller)[1]
    for layer in (nn.Linear, nn.Embedding):
        to_int8(smaller, layer)
    rebuilt, after = saved_and_built(smaller)
    np.testing.assert_array_equal(rebuilt.scores(HISTORIES), smaller.scores(HISTORIES))
    np.testing.assert_array_equal(rebuilt.content_vectors(NEW), smaller.content_vectors(NEW))
    assert after < 0.5 * before


def test_folding_twice_changes_nothing_more() -> None:
    once = folded(model_of(Transformer, ATTRIBUTES, tower=True))
    np.testing.assert_array_equal(folded(once).scores(HISTORIES), once.scores(HISTORIES))
    np.testing.assert_array_equal(folded(once).content_vectors(NEW), once.content_vectors(NEW))
