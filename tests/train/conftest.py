"""A small world for training: shoppers who buy item i + 1 after item i, round and round."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.small import small_fit, write_ring
from train.data.prepared import Prepared
from train.data.schema import Interactions
from train.pipeline import Published

N_CYCLE = 20


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors are slower on many threads, much slower where other processes want the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cycles() -> Interactions:
    """40 shoppers with 3 to 11 of 20 items, each followed by the next one."""
    lengths = np.array([3, 8, 11, 5] * 10)
    start = np.repeat(np.arange(40) * 7, lengths)
    within = np.concatenate([np.arange(length) for length in lengths])
    n = len(within)
    return Interactions(
        user_ids=np.array([str(user) for user in range(40)], dtype=object),
        offsets=np.concatenate(([0], np.cumsum(lengths))), item_idx=(start + within) % N_CYCLE,
        timestamp_ms=np.arange(n), order_idx=np.arange(n), weight=np.ones(n, dtype=np.float32),
    )  # fmt: skip


@dataclass(frozen=True)
class Small:
    """A published bundle, where it lies, and what it was fitted on."""

    folder: Path  # of the run: registry, rejects, …
    data: Path
    published: Published
    prepared: Prepared


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A bundle of the tiny world that no test may change."""
    folder = tmp_path_factory.mktemp("small")
    data = write_ring(folder / "ring")
    return Small(folder, data, *small_fit(data, folder))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 24 KiB, too small for any bundle."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a full disk can only be made by root, where mounting is allowed")
    yield place
    subprocess.run(["umount", str(place)], check=True)
