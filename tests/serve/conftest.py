"""One small bundle a session, an engine over a store in this process, and the HTTP surface over both."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cluster.environment import scratch
from cluster.keys import Keyring
from serve.run import main
from tests.serve.shop import Shop, fit_small_bundle, open_shop


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors are slower on many threads, much slower where other processes want the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose current bundle shows no seen item again."""
    return fit_small_bundle(tmp_path_factory.mktemp("serve"), keep_seen=False)


@pytest.fixture(scope="session")
def repeating_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose current bundle shows seen items again."""
    return fit_small_bundle(tmp_path_factory.mktemp("repeat"), keep_seen=True)


@pytest.fixture
def shop(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    """A server without Ray over an empty log."""
    with open_shop(registry, tmp_path / "data") as shop:
        yield shop


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    """Where a server's keys are; there are none yet."""
    return Keyring(tmp_path / "keys.json")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for a server that a command starts; whatever still runs there is ended."""
    folder = Path(f"/tmp/liveshelf-test-{os.getpid()}")  # short, for the sockets below it
    monkeypatch.setenv("LIVESHELF_HOME", str(folder))
    yield folder
    main(["stop"])
    shutil.rmtree(scratch(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
