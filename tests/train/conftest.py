"""A small world for training: shoppers who buy item i + 1 after item i, round and round."""

import numpy as np
import pytest
import torch

from train.data.schema import Interactions

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
