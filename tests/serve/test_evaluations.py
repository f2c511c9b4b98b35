"""GET /v1/evaluations/prequential: the live figure beside its shadows."""

from pathlib import Path

import pytest

from tests.serve.shop import Shop, open_shop
from tests.world import next_item

PATH = "/v1/evaluations/prequential"


def test_before_an_event_was_judged_there_is_no_figure(shop: Shop) -> None:
    shop.click("new", "i0003")
    answer = shop.client.get(PATH).json()
    assert answer["modelVersion"] == shop.bundle.manifest.version
    assert answer["stateVersion"] == 1
    assert answer["judged"] == {"total": 0, "effective": 0, "window": 2_000}
    assert {answer[name] for name in ("live", "still", "frozen", "liveMinusStill", "liveMinusFrozen")} == {None}


def test_each_slate_has_its_figures_and_each_shadow_its_difference_and_interval(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data", judged_share=1.0) as shop:
        for user in range(12):
            item = f"i{user:04d}"
            for _ in range(4):
                shop.click(f"new{user}", item)
                item = next_item(item)
        answer = shop.client.get(PATH).json()
    assert answer["judged"]["total"] == 48
    assert 1 < answer["judged"]["effective"] < 48  # a newcomer's events count for less
    for slate in ("live", "still", "frozen"):
        assert 0 <= answer[slate]["ndcg@10"] <= answer[slate]["hitRate@10"] <= 1
    for name, shadow in (("liveMinusStill", "still"), ("liveMinusFrozen", "frozen")):
        lead = answer[name]
        assert lead["low"] < lead["mean"] < lead["high"]
        assert lead["mean"] == pytest.approx(answer["live"]["ndcg@10"] - answer[shadow]["ndcg@10"])


def test_a_replica_answers_from_memory_while_the_store_is_away(shop: Shop) -> None:
    shop.store.away = True
    assert shop.client.get(PATH).status_code == 200
