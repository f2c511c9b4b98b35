"""A bundle that was made smaller is served, and its items learn, like any other."""

from pathlib import Path

import numpy as np
import pytest

from tests.serve.shop import KNOWN, fit_small_bundle, item_ids, open_shop
from tests.world import tiny_world, write_world
from train.compression.compress import compress, publish
from train.config import CompressRun


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose current bundle is a smaller one."""
    folder = tmp_path_factory.mktemp("compressed")
    found = fit_small_bundle(folder, keep_seen=False)
    data = write_world(tiny_world(), folder / "world")
    config = CompressRun.parse([f"data={data}", f"registry={found}", f"rejects={folder}", "max_loss=1"])
    publish(compress(config), config)
    return found


def test_a_click_moves_the_unpacked_vectors_and_the_list(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        assert shop.bundle.packed is not None
        before = item_ids(shop.slate(user=KNOWN, count=10))
        item = shop.engine.index[before[0]]
        version = shop.click(KNOWN, before[0])
        after = item_ids(shop.slate(user=KNOWN, count=10, minVersion=version))
        moved = shop.engine.view.items.vectors[item] - shop.bundle.state.vectors[item]
    assert before[0] not in after
    assert 0 < np.abs(moved).max() < 0.1


def test_a_restart_replays_to_the_same_bits(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        shop.click(KNOWN, shop.engine.item_ids[0])
        vectors = shop.engine.view.items.vectors.copy()
    with open_shop(registry, tmp_path / "data") as shop:
        assert shop.engine.view.items.vectors.tobytes() == vectors.tobytes()
