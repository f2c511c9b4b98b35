"""Where Ray is asked to place stages that are deployments of their own, and where it does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.environment import ROOT
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


@pytest.mark.slow
def test_of_two_nodes_the_one_with_a_card_has_the_stages_and_gateways_are_anywhere(tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}  # another home's
    variables = {"LIVESHELF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.serve.placed", tmp_path], cwd=ROOT, env=inherited | variables, text=True,
        stdout=subprocess.PIPE, timeout=240, check=True,
    )  # fmt: skip
    cards = json.loads(done.stdout.splitlines()[-1])
    assert set(cards) == {"Gateway", "RetrieverReplica", "RankerReplica"}
    assert cards["RetrieverReplica"] == cards["RankerReplica"] == 1
