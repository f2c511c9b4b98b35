"""Pictures of items as vectors: files below one folder, narrowed to what tells those of a catalogue apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from cluster.errors import DataError
from train.encoders.base import Space, unit
from train.encoders.cache import VectorCache, content_key
from train.encoders.image import ImageEncoder

DIM = 256  # a fifth of the encoder's width: a catalogue of a million items takes 0.5 GB and not 2.6
MAX_PICTURES = 20_000  # more teach no better axes; the fit is on a sample of them
CHUNK = 64  # files held in memory at once
FILE = "pictures.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """Where the picture of an item lies."""

    row: int  # of the item
    item_id: str
    path: Path


@dataclass(frozen=True, eq=False, kw_only=True)
class Pictures:
    """Vectors of an image encoder, along the principal components of a catalogue's (Pearson, 1901)."""

    space: Space  # of the image encoder
    mean: np.ndarray  # (space.dim,) float32
    axes: np.ndarray  # (space.dim, dim) float16

    @classmethod
    def fit(cls, frame: pd.DataFrame, folder: Path | None, cache: VectorCache | None = None, seed: int = 0) -> Self:
        """Return how to describe pictures like those of a catalogue, whose `image` is a path below `folder`."""
        files = image_files(frame, folder)
        if not files:
            raise DataError(
                f"content=image needs pictures, but none of {len(frame)} items has one; give the items of a folder a "
                "column image, which holds paths below that folder"
            )
        if len(files) > MAX_PICTURES:
            chosen = np.random.default_rng(seed).choice(len(files), MAX_PICTURES, replace=False)
            files = [files[place] for place in np.sort(chosen)]
        encoder = ImageEncoder()
        chunks = [_encoded(encoder, files[start : start + CHUNK], cache) for start in range(0, len(files), CHUNK)]
        mean, axes = _principal(np.concatenate(chunks))
        return cls(space=encoder.space, mean=mean, axes=axes.astype(np.float16))

    @classmethod
    def load(cls, folder: Path, space: Space) -> Self:
        """Return what `save` wrote; the encoder is loaded when the first picture comes."""
        return cls(space=space, **load_file(folder / FILE))

    def save(self, folder: Path) -> None:
        """Write the axes; the encoder is part of an installed package."""
        save_file({"mean": self.mean, "axes": self.axes}, folder / FILE)

    @property
    def dim(self) -> int:
        """Width of its vectors."""
        return self.axes.shape[1]

    @cached_property
    def _encoder(self) -> ImageEncoder:
        encoder = ImageEncoder()
        self.space.require(encoder.space)
        return encoder

    def of(self, frame: pd.DataFrame, folder: Path | None, cache: VectorCache | None = None) -> np.ndarray:
        """Return (n, dim) float32 rows of length 1; a row is 0 where an item has no picture."""
        vectors = np.zeros((len(frame), self.dim), dtype=np.float32)
        files = image_files(frame, folder)
        for start in range(0, len(files), CHUNK):
            chunk = files[start : start + CHUNK]
            centred = _encoded(self._encoder, chunk, cache) - self.mean
            vectors[[file.row for file in chunk]] = unit(centred @ self.axes.astype(np.float32))
        return vectors


def image_files(frame: pd.DataFrame, folder: Path | None) -> list[ImageFile]:
    """Return the pictures of those items that have one; none where no folder is known.

    Raises DataError for a path that leads out of the folder.
    """
    if folder is None or "image" not in frame:
        return []
    root, named = folder.resolve(), zip(frame["item_id"], frame["image"], strict=True)
    return [
        ImageFile(row=row, item_id=item_id, path=_below(root, image, item_id))
        for row, (item_id, image) in enumerate(named) if pd.notna(image)
    ]  # fmt: skip


def _below(root: Path, image: str, item_id: str) -> Path:
    """Return the path that an item gives; a catalogue shall not make this machine read its other files."""
    try:
        path = (root / image).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"item {item_id}: image {image[:80]!r} is no path: {error}; give one below {root}") from None
    if not path.is_relative_to(root):
        raise DataError(f"item {item_id}: image {image[:80]!r} leads out of {root}; give a path below it")
    return path


def _encoded(encoder: ImageEncoder, files: Sequence[ImageFile], cache: VectorCache | None) -> np.ndarray:
    """Return (n, D) float32 of n ≥ 1 files; equal ones are encoded once."""
    contents = [_content(file) for file in files]
    keys = [content_key(encoder.space, content, "passage") for content in contents]
    distinct = {key: row for row, key in enumerate(keys)}
    known = cache.find(list(distinct), encoder.space.dim) if cache else {}
    if missing := [key for key in distinct if key not in known]:
        rows = [distinct[key] for key in missing]
        names = [f"{files[row].path} of item {files[row].item_id}" for row in rows]
        fresh = dict(zip(missing, encoder.encode([contents[row] for row in rows], names), strict=True))
        if cache:
            cache.keep(fresh)
        known |= fresh
    return np.stack([known[key] for key in keys])


def _content(file: ImageFile) -> bytes:
    if not file.path.is_file():
        raise DataError(f"item {file.item_id}: there is no picture {file.path}; add it, or leave image empty")
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise DataError(f"item {file.item_id}: cannot read {file.path}: {error.strerror}; mend it") from None


def _principal(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (D,) of vectors (n, D) and the directions in which they differ most, (D, DIM or fewer)."""
    mean = vectors.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(vectors, rowvar=False, bias=True))  # those that matter most come last
    return mean, directions[:, : -min(DIM, len(vectors)) - 1 : -1]
