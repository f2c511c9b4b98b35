"""The order of a history says nothing, and a step's loss is the paper's."""

import numpy as np
import torch

from train.losses import Objective, softmax
from train.models.neural.autoencoder import Autoencoder, AutoencoderConfig

CONFIG = AutoencoderConfig(embedding_dim=6, hidden_dim=5, latent_dim=3, dropout=0, kl_weight=0.7)


def model() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(CONFIG, n_items=9)


def test_the_order_of_a_history_says_nothing() -> None:
    reads = model().eval()
    torch.testing.assert_close(reads.encode(torch.tensor([[1, 2, 3]])), reads.encode(torch.tensor([[-1, 3, 1, 2]])))


def test_a_step_costs_the_likelihood_of_the_whole_set_and_the_divergence_of_the_code() -> None:
    reads, items, target = model(), torch.tensor([[-1, 1, 2], [4, 5, 6]]), torch.tensor([[-1, 2, 3], [5, 6, 7]])
    torch.manual_seed(3)
    loss = Objective(reads, softmax, 1.0)(items, target, (target >= 0).float(), torch.arange(9))
    torch.manual_seed(3)
    mean, log_variance = reads._code(items)
    code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
    share = (torch.tanh(reads.decode(code)) @ reads.item_vectors().T).log_softmax(1)
    likelihood = share[0, [1, 2, 3]].sum() + share[1, [4, 5, 6, 7]].sum()
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
    expected = (5 / 7) * (-likelihood + 0.7 * divergence)  # a step weighs as its 5 targets do
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
