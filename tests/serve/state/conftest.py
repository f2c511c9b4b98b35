from pathlib import Path

import pytest

from tests.serve.state.state_world import write_small_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path / "bundle")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
