"""Where Ray is asked to place stages that are deployments of their own."""

from typing import Any

import pytest
import ray

from serve.app import CARD_SHARE, bound_stages
from serve.config import AppArgs


@pytest.mark.parametrize("topology", ["staged", "auto"])
def test_stages_are_placed_with_a_card_where_there_is_one(topology: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0, "GPU": 1.0})
    assert asked_cards(topology) == {"retriever": CARD_SHARE, "ranker": CARD_SHARE}


def test_without_a_card_stages_ask_for_none_and_are_wanted_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0})
    assert asked_cards("staged") == {"retriever": 0, "ranker": 0}
    assert asked_cards("auto") == {}


def asked_cards(topology: str) -> dict[str, Any]:
    """Return how much of a card each stage asks for."""
    stages = bound_stages("/bundle", AppArgs.checked({"topology": topology}))
    options = {name: stage._bound_deployment.ray_actor_options or {} for name, stage in stages.items()}
    return {name: asked["num_gpus"] for name, asked in options.items()}
