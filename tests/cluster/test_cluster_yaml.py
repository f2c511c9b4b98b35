"""`cluster.yaml` and its commented variants are what Ray's launcher expects."""

from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.environment import ROOT

TEXT = (ROOT / "cluster.yaml").read_text()
OF_ONE_PROVIDER = ("provider", "auth", "min_workers", "max_workers")


def variant(name: str) -> dict[str, Any]:
    """Return the settings with one commented block in the place of the local provider."""
    base = yaml.safe_load(TEXT)
    if name == "local":
        return base
    block = TEXT.split(f"# --- {name.upper()}:")[1].split("# --- ")[0].splitlines()[1:]
    replacement = yaml.safe_load("\n".join(line.removeprefix("# ") for line in block))
    return {key: value for key, value in base.items() if key not in OF_ONE_PROVIDER} | replacement


@pytest.mark.parametrize("name", ["local", "aws", "gcp"])
def test_ray_accepts_every_variant(name: str) -> None:
    config = variant(name)
    assert config["provider"]["type"] == name
    validate_config(prepare_config(config))


@pytest.mark.parametrize(
    ("name", "card", "spot"),
    [("aws", "InstanceType", "InstanceMarketOptions"), ("gcp", "guestAccelerators", "scheduling")],
)
def test_clouds_have_workers_with_cards_at_the_price_of_what_is_left(name: str, card: str, spot: str) -> None:
    assert {card, spot} <= set(variant(name)["available_node_types"]["gpu_worker"]["node_config"])


@pytest.mark.parametrize("role", ["head", "worker"])
def test_every_start_sets_the_token_itself(role: str) -> None:
    starts = [line for line in variant("local")[f"{role}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 1
    assert "RAY_AUTH_MODE=token" in starts[0]
    assert "RAY_AUTH_TOKEN_PATH=$HOME/.liveshelf/token" in starts[0]


def test_the_dashboard_stays_on_loopback() -> None:
    [start] = [line for line in variant("local")["head_start_ray_commands"] if "ray start" in line]
    assert "--dashboard-host=127.0.0.1" in start


def test_an_unknown_key_would_be_refused() -> None:
    with pytest.raises(Exception, match="no_such_key"):
        validate_config(prepare_config(variant("local") | {"no_such_key": 1}))
