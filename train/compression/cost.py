"""What a bundle costs: bytes on the disk, and milliseconds of its encoder."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save as packed_bytes
from safetensors.torch import save as model_bytes

from train.bundle import CARD, Bundle, files_of
from train.bundle_state import MANIFEST, PACKED, VECTORS
from train.models.base import VectorModel

MODEL = "model.safetensors"


def part_bytes(bundle: Bundle) -> dict[str, int]:
    """Return how long the files of model and item vectors are, or would be."""
    state = {name: tensor.contiguous() for name, tensor in bundle.model.state_dict().items()}
    if bundle.packed is not None:
        return {MODEL: len(model_bytes(state)), PACKED: len(packed_bytes(dict(bundle.packed)))}
    header = 128  # of an .npy file
    return {MODEL: len(model_bytes(state)), VECTORS: bundle.state.vectors.nbytes + header}


def folder_bytes(folder: Path) -> dict[str, int]:
    """Return how long the files of a published bundle are; what tells of it does not count."""
    found = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files_of(folder)}
    return {name: size for name, size in found.items() if name != MANIFEST and not name.startswith(f"{CARD}/")}


def median_ms(models: Mapping[str, VectorModel], calls: Sequence[list[np.ndarray]]) -> dict[str, float]:
    """Return how long each model takes for a call, each the histories to encode together, on one thread; the median.

    They take turns at each call, so that what else the machine does falls on all alike.
    """
    threads, names = torch.get_num_threads(), list(models)
    torch.set_num_threads(1)
    try:
        for model in models.values():
            model.encode_histories(calls[0])
        taken = [[_ms(models[name], histories) for name in names] for histories in calls]
    finally:
        torch.set_num_threads(threads)
    return dict(zip(names, np.median(taken, axis=0).tolist(), strict=True))


def _ms(model: VectorModel, histories: list[np.ndarray]) -> float:
    start = time.perf_counter()
    model.encode_histories(histories)
    return 1_000 * (time.perf_counter() - start)
