"""How far back a convolution sees."""

import pytest
import torch

from train.models.neural.cnn import Cnn, CnnConfig


@pytest.mark.parametrize(("layers", "reach"), [(1, 7), (2, 31)])
def test_a_position_sees_as_far_back_as_its_layers_reach(layers: int, reach: int) -> None:
    torch.manual_seed(0)
    model = Cnn(CnnConfig(embedding_dim=8, layers=layers, width=3), n_items=60).eval()
    history = torch.arange(50)[None] % 60
    plain = model.hidden(history)[0, -1]
    for back, seen in ((reach - 1, True), (reach, False)):
        other = history.clone()
        other[0, -1 - back] = 55
        assert torch.allclose(model.hidden(other)[0, -1], plain) is not seen
