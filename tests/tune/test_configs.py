"""A sweep for every family, each over settings that exist."""

from pathlib import Path

import pytest

from cluster.errors import ConfigError
from train.models.registered import FAMILIES
from tune.run import QUICK, read_config
from tune.spaces import given_params

SWEEPS = sorted(QUICK.parent.glob("*.yaml"))


def test_every_family_has_a_sweep_of_its_name() -> None:
    kinds = {path.stem: read_config([str(path), "data=somewhere"]).fit.model.kind for path in SWEEPS}
    assert {name: kinds.get(name) for name in FAMILIES} == {name: name for name in FAMILIES}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_names_real_settings_and_starts_from_its_own(path: Path) -> None:
    config = read_config([str(path), "data=somewhere"])
    assert config.name == path.stem
    assert given_params(config.fit, config.space) is not None


def test_what_no_server_could_serve_is_not_promoted() -> None:
    with pytest.raises(ConfigError, match="model.kind=ease takes part in comparisons"):
        read_config([str(QUICK.with_name("ease.yaml")), "data=somewhere", "promote=true"])
