from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.shop import publish_shop
from serve.stages.index.approximate import ApproximateIndex
from serve.stages.index.config import IndexConfig, Kind
from serve.stages.index.exact import FlatIndex
from serve.stages.index.policy import open_index, shopper_vectors
from serve.state.store import Store
from serve.state.view import View
from tests.serve.shop import Shop
from tests.serve.state.state_world import event, run
from train.bundle import read_bundle


@pytest.mark.parametrize(
    ("settings", "n_items", "cards", "kind"),
    [
        ([], 99_999, 0, "flat"), ([], 100_000, 0, "ivf"), ([], 9_999_999, 0, "ivf"), ([], 10_000_000, 0, "ivfpq"),
        ([], 99_999, 1, "flat"), ([], 100_000, 1, "card"), ([], 10_000_000, 1, "ivfpq"),
        (["kind=flat"], 10_000_000, 1, "flat"), (["kind=ivf"], 1_000, 0, "ivf"), (["kind=ivf"], 999, 0, "flat"),
        (["kind=ivfpq"], 1_000, 1, "ivfpq"), (["ivf_from=5000"], 5_000, 0, "ivf"),
        (["ivfpq_from=200000"], 200_000, 0, "ivfpq"),
    ],
)  # fmt: skip
def test_the_kind_follows_from_settings_size_and_cards(
    settings: list[str], n_items: int, cards: int, kind: Kind
) -> None:
    assert IndexConfig.parse(settings).kind_for(n_items, cards) == kind


def test_a_small_shop_is_searched_exactly(shop: Shop) -> None:
    assert isinstance(open_index(shop.engine.view, shop.bundle, IndexConfig()), FlatIndex)


def test_recall_is_measured_with_shoppers_of_the_bundle(shop: Shop) -> None:
    vectors = shopper_vectors(shop.bundle, 5)
    everybody = shopper_vectors(shop.bundle, 10**6)
    assert vectors.shape == (5, shop.engine.view.items.vectors.shape[1])
    assert len(everybody) == shop.bundle.histories.n_users
    assert all(np.isclose(everybody, vector, atol=1e-5).all(axis=1).any() for vector in vectors)


def test_without_histories_recall_is_measured_with_items(shop: Shop) -> None:
    nobody = replace(shop.bundle.histories, offsets=np.array([0]), user_ids=np.empty(0, dtype=object))
    vectors = shopper_vectors(replace(shop.bundle, histories=nobody), 7)
    items = shop.bundle.state.vectors
    assert len(vectors) == 7
    assert all((items == vector).all(axis=1).any() for vector in vectors)


def test_events_reach_an_approximate_index_through_the_view(tmp_path: Path) -> None:
    folder = publish_shop(tmp_path / "registry", n_items=1_200, n_users=20)
    config = IndexConfig(kind="ivf", nprobe=10**6, drift=0.0, rebuild=1.0)

    async def work() -> None:
        store = Store.open(folder, tmp_path / "data", bootstrap=True)
        bundle = read_bundle(folder)
        view = View(bundle, await store.image())
        index = open_index(view, bundle, config)
        assert isinstance(index, ApproximateIndex)
        h_u = shopper_vectors(bundle, 20)
        while index.base is None:
            index.search(h_u[0], 1)
        before = view.items.vectors.copy()
        for number in range(20):
            clicks = [event(f"{number}-{item_idx}", f"u{number}", item_idx) for item_idx in range(40)]
            view.apply((await store.append(clicks, np.repeat(h_u[[number]], 40, axis=0), view.position)).batches)
            exact = FlatIndex(view.items).search(h_u[number], 200)
            assert index.search(h_u[number], 200).tolist() == exact.tolist()
        assert (view.items.vectors != before).any(axis=1).sum() > 400
        view.load(await store.image())
        assert index.search(h_u[0], 200).tolist() == FlatIndex(view.items).search(h_u[0], 200).tolist()
        await store.close()

    run(work())
