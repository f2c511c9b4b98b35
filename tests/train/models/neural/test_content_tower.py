"""Items speak through their content, the more so the less is known of them."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from train.encoders.base import unit
from train.encoders.features import Features
from train.models.neural.content_tower import ContentTower, ItemContent
from train.models.neural.gru import Gru, GruConfig
from train.models.neural.item_embedding import ItemEmbedding
from train.models.neural.transformer import Transformer, TransformerConfig
from train.models.neural.two_tower import TwoTower, TwoTowerConfig

N_ITEMS, D = 9, 5
CONFIG = TransformerConfig(embedding_dim=8, layers=1, heads=2, max_length=6, feedforward_dim=8)
SEEN = np.arange(N_ITEMS) < 7


@pytest.fixture
def features() -> Features:
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((N_ITEMS, D)).astype(np.float16).astype(np.float32)
    return Features(dense=dense, attributes=csr_matrix((rng.random((N_ITEMS, 4)) < 0.5).astype(np.float32)))


def with_tower(features: Features, dropout: float = 0.0) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(CONFIG, N_ITEMS, features.attributes)
    model.items.tower = ContentTower(ItemContent(dense=features.dense, dropout=dropout), SEEN, CONFIG.embedding_dim)
    return model


def table_of(model: Any) -> np.ndarray:
    with torch.no_grad():
        return model.item_vectors().numpy()


def test_a_new_item_points_where_an_unseen_known_one_does(features: Features) -> None:
    model = with_tower(features).eval()
    new, unseen = model.content_vectors(features)[~SEEN], table_of(model)[~SEEN]
    np.testing.assert_allclose(unit(new), unit(unseen), atol=1e-5)


def test_an_item_that_was_seen_adds_its_own_embedding(features: Features) -> None:
    model = with_tower(features).eval()
    content = table_of(model) - SEEN[:, None] * model.items.embedding.weight.detach().numpy()
    np.testing.assert_allclose(unit(model.content_vectors(features)), unit(content), atol=1e-5)


def test_new_items_are_as_long_as_the_median_of_known_ones(features: Features) -> None:
    model = with_tower(features).eval()
    lengths = np.linalg.norm(table_of(model)[SEEN], axis=1)
    new = np.linalg.norm(model.content_vectors(features)[SEEN], axis=1)
    assert new.mean() == pytest.approx(np.median(lengths), rel=1e-4)


def test_vectors_looked_up_are_those_of_the_table(features: Features) -> None:
    model = with_tower(features).eval()
    item_idx = torch.tensor([[8, 0], [3, 3]])
    torch.testing.assert_close(model.vectors(item_idx), model.item_vectors()[item_idx])
    with torch.no_grad():
        torch.testing.assert_close(model.vectors(item_idx), model.item_vectors()[item_idx])


@pytest.mark.parametrize(("dropout", "share"), [(0.0, 1.0), (0.3, 0.7), (1.0, 0.0)])
def test_training_hides_own_embeddings_as_often_as_asked(features: Features, dropout: float, share: float) -> None:
    tower = with_tower(features, dropout).train().items.tower
    assert tower is not None
    seen, unseen = torch.zeros(20_000, dtype=torch.int64), torch.full((100,), N_ITEMS - 1)
    assert tower.own_share(seen).mean().item() == pytest.approx(share, abs=0.02)
    assert not tower.own_share(unseen).any()
    assert tower.eval().own_share(seen).all()


def test_gradients_reach_the_tower_and_hidden_embeddings_get_none(features: Features) -> None:
    items = with_tower(features).train().items
    items(torch.arange(N_ITEMS)).pow(2).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in items.parameters())
    assert items.embedding.weight.grad is not None
    assert items.embedding.weight.grad.abs().sum(1).gt(0).tolist() == SEEN.tolist()


def test_config_and_weights_alone_rebuild_the_tower(features: Features) -> None:
    model = with_tower(features, dropout=0.5).eval()
    rebuilt = Transformer.from_state(CONFIG, model.state_dict()).eval()
    torch.testing.assert_close(rebuilt.item_vectors(), model.item_vectors())
    np.testing.assert_array_equal(rebuilt.content_vectors(features), model.content_vectors(features))


def test_without_a_tower_attributes_speak_alone(features: Features) -> None:
    items = ItemEmbedding(N_ITEMS, 8, features.attributes).eval()
    with torch.no_grad():
        attributes = (items.table() - items.embedding.weight).numpy()
        np.testing.assert_allclose(unit(items.described(features).numpy()), unit(attributes), atol=1e-5)


def test_without_content_a_new_item_is_nothing(features: Features) -> None:
    assert not Transformer(CONFIG, N_ITEMS).eval().content_vectors(features).any()


@pytest.mark.parametrize(("family", "config"), [(Gru, GruConfig), (TwoTower, TwoTowerConfig)])
def test_other_families_describe_a_new_item_too(features: Features, family: Any, config: Any) -> None:
    model = family(config(embedding_dim=8), N_ITEMS, features.attributes).eval()
    model.items.tower = ContentTower(ItemContent(dense=features.dense), SEEN, 8)
    new = model.content_vectors(features)
    assert new.shape == (N_ITEMS, 8)
    assert ((unit(new) * unit(table_of(model))).sum(axis=1)[~SEEN] > 0.999).all()
    rebuilt = family.from_state(model.config, model.state_dict())
    np.testing.assert_array_equal(rebuilt.content_vectors(features), new)
