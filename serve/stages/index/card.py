"""FAISS on a GPU, where the machine has one and FAISS was built for it."""

from typing import Any

import faiss

LARGEST_K = 2_048  # longest list that a card returns


def n_cards() -> int:
    """Return how many GPUs FAISS can use."""
    return getattr(faiss, "get_num_gpus", lambda: 0)()


def on_card(index: Any) -> Any:
    """Return a copy of the index on the first GPU."""
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
