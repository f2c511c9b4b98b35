"""What the transformer promises about histories, padding and its own state."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from train.data.schema import NO_ITEM
from train.models.neural.transformer import Transformer, TransformerConfig

N_ITEMS = 12
CONFIG = TransformerConfig(embedding_dim=8, layers=2, heads=2, max_length=6, feedforward_dim=8)


@pytest.fixture
def attributes() -> csr_matrix:
    rng = np.random.default_rng(0)
    dense = (rng.random((N_ITEMS, 5)) < 0.4).astype(np.float32)
    dense[3] = 0
    return csr_matrix(dense)


@pytest.fixture
def model(attributes: csr_matrix) -> Transformer:
    torch.manual_seed(0)
    return Transformer(CONFIG, N_ITEMS, attributes).eval()


def encode(model: Transformer, *items: int) -> np.ndarray:
    with torch.no_grad():
        return model.encode(torch.tensor([items])).numpy()[0]


@pytest.mark.parametrize("padding", [1, 3])
def test_padding_on_the_left_changes_no_shopper(model: Transformer, padding: int) -> None:
    np.testing.assert_allclose(encode(model, *[NO_ITEM] * padding, 4, 7, 1), encode(model, 4, 7, 1), atol=1e-5)


def test_padding_on_the_left_changes_no_position(model: Transformer) -> None:
    plain = model.hidden(torch.tensor([[4, 7, 1]]))
    padded = model.hidden(torch.tensor([[NO_ITEM, NO_ITEM, 4, 7, 1]]))
    torch.testing.assert_close(padded[:, 2:], plain, atol=1e-5, rtol=1e-5)


def test_a_position_sees_nothing_that_came_later(model: Transformer) -> None:
    one, other = model.hidden(torch.tensor([[4, 7, 1, 2]])), model.hidden(torch.tensor([[4, 7, 9, 11]]))
    torch.testing.assert_close(one[:, :2], other[:, :2])
    assert not torch.allclose(one[:, 2:], other[:, 2:])


def test_encode_is_the_last_hidden_state(model: Transformer) -> None:
    items = torch.tensor([[NO_ITEM, 4, 7], [1, 2, 3]])
    torch.testing.assert_close(model.encode(items), model.hidden(items)[:, -1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("history", [(4, N_ITEMS, 7), (N_ITEMS + 5, 4, 7), (4, 7, N_ITEMS)])
def test_items_born_after_training_are_left_out(model: Transformer, history: tuple[int, ...]) -> None:
    np.testing.assert_allclose(encode(model, *history), encode(model, 4, 7), atol=1e-5)


def test_a_shopper_without_history_has_a_finite_vector(model: Transformer) -> None:
    assert np.isfinite(model.encode_histories([np.empty(0, dtype=np.int64)])).all()


def test_histories_encoded_together_equal_those_encoded_alone(model: Transformer) -> None:
    histories = [np.arange(length) % N_ITEMS for length in (9, 1, 4, 0, 6)]
    together = model.encode_histories(histories, batch_size=2)
    alone = np.concatenate([model.encode_histories([history]) for history in histories])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_item_is_its_embedding_plus_its_attributes_over_root_n(model: Transformer, attributes: csr_matrix) -> None:
    dense = attributes.toarray()
    count = np.maximum(dense.sum(axis=1, keepdims=True), 1)
    own, shared = model.items.embedding.weight.detach().numpy(), model.items.attribute_embedding.weight.detach().numpy()
    expected = own + dense @ shared / np.sqrt(count)
    np.testing.assert_allclose(model.item_vectors().detach().numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(model.vectors(torch.tensor([[3, 0]])).detach().numpy()[0], expected[[3, 0]], atol=1e-6)


@pytest.mark.parametrize("with_attributes", [True, False])
def test_config_and_weights_alone_rebuild_the_model(attributes: csr_matrix, with_attributes: bool) -> None:
    model = Transformer(CONFIG, N_ITEMS, attributes if with_attributes else None).eval()
    rebuilt = Transformer.from_state(CONFIG, model.state_dict()).eval()
    torch.testing.assert_close(rebuilt.item_vectors(), model.item_vectors())
    np.testing.assert_array_equal(encode(rebuilt, 1, 2), encode(model, 1, 2))


def test_new_weights_are_not_answered_from_old_ones(model: Transformer, attributes: csr_matrix) -> None:
    before = encode(model, 1, 2)
    model.load_state_dict(Transformer(CONFIG, N_ITEMS, attributes).state_dict())
    loaded = encode(model, 1, 2)
    assert not np.allclose(before, loaded)
    np.testing.assert_array_equal(loaded, encode(Transformer.from_state(CONFIG, model.state_dict()).eval(), 1, 2))


def test_answering_adds_no_parameter_to_a_model_without_attributes() -> None:
    model = Transformer(CONFIG, n_items=5).eval()
    before = set(model.state_dict())
    with torch.inference_mode():
        model.item_vectors()
    assert set(model.state_dict()) == before
