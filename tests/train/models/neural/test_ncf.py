"""Every pair of shopper and item passes through the network, in whatever chunks."""

import numpy as np
import pytest
import torch

from train.models.neural import ncf
from train.models.neural.ncf import Ncf, NcfConfig

HISTORIES = [np.array([1, 2]), np.array([5]), np.empty(0, np.int64)]


def test_a_score_is_the_weighted_product_plus_the_network_of_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ncf, "CHUNK", 1)
    torch.manual_seed(0)
    model = Ncf(NcfConfig(embedding_dim=4, hidden_dim=3), n_items=7).eval()
    scores = model.scores(HISTORIES)
    shoppers, items = torch.from_numpy(model.encode_histories(HISTORIES)), model.items.table()
    for row, shopper in enumerate(shoppers):
        for item in range(7):
            network = model.output(torch.relu(model.shopper(shopper) + model.item(items[item])))
            expected = (model.product * shopper * items[item]).sum() + network[0]
            assert scores[row, item] == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
