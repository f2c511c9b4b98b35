"""Whose log a command reads, and what a running server keeps when it is started again."""

import json
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from cluster.health import SETTINGS
from cluster.keys import Keyring
from serve import past, run
from serve.config import LogArgs, StartArgs


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a server that runs, as its home tells."""
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    monkeypatch.setattr(past, "server_runs", lambda: True)
    Keyring(tmp_path / "keys").create("shop", ["read"])
    settings = {name: str(tmp_path / name) for name in ("data", "tenants_folder", "keys")}
    (tmp_path / SETTINGS).write_text(json.dumps(settings))
    return tmp_path / "data"


def test_the_running_servers_log_is_read_unless_another_folder_is_named(served: Path, tmp_path: Path) -> None:
    asked = {"": True, f"data={served}": True, f"data={tmp_path / 'another'}": False}
    assert {word: past.is_served(LogArgs.parse([word] if word else [])) for word in asked} == asked


def test_a_tenants_log_is_the_running_servers_unless_another_folder_of_tenants_is_named(
    served: Path, tmp_path: Path
) -> None:
    asked = {f"data={tmp_path / 'another'}": True, f"tenants_folder={tmp_path / 'tenants_folder'}": True}
    asked |= {f"tenants_folder={tmp_path / 'another'}": False}
    assert {word: past.is_served(LogArgs.parse(["tenant=acme", word])) for word in asked} == asked


def test_a_running_server_is_not_opened_by_leaving_its_keys_out(served: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"name keys=.*keys again"):
        run.require_same_keys(StartArgs.parse([f"keys={tmp_path / 'none.json'}"]))
    run.require_same_keys(StartArgs.parse([f"keys={tmp_path / 'keys'}"]))
