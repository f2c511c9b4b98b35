"""Items that tests write."""

from itertools import count

import numpy as np

from serve.state.events import ITEM, Ack, Write
from serve.state.store import Store
from serve.state.writing import WriteRequest
from tests.serve.state.state_world import DIM

names = count()
NOWHERE = np.zeros(DIM, np.float32)


def write(item_id: str, content: str = '{"title":"x"}', expected: str | None = None) -> WriteRequest:
    return WriteRequest(f"w{next(names)}", Write(ITEM, item_id, content), expected)


def somewhere(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=DIM).astype(np.float32)


async def put(store: Store, request: WriteRequest, vector: np.ndarray = NOWHERE) -> Ack:
    return (await store.write([request], vector[None], store.position)).acks[0]
