"""The cache of vectors: it saves work, and never answers for another encoder."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import StorageError
from train.encoders.base import Encoder, Kind, Space
from train.encoders.cache import VectorCache

TEXTS = ["one", "two", "three", "two", ""]


class Lengths(Encoder):
    """Encodes a text as its length and its first letter, and counts the texts it was asked."""

    def __init__(self, name: str = "lengths", version: str = "1", dim: int = 2) -> None:
        self._space = Space(name=name, version=version, dim=dim)
        self.asked = 0

    @property
    def space(self) -> Space:
        return self._space

    def _vectors(self, texts: list[str], kind: Kind) -> np.ndarray:
        self.asked += len(texts)
        return np.array([[len(text), ord(text[0]), *[1] * (self.dim - 2)] for text in texts], dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "vectors.sqlite"


def test_cached_vectors_equal_fresh_ones(path: Path) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(VectorCache(path).encode(Lengths(), TEXTS), Lengths().encode(TEXTS))


def test_a_text_is_encoded_once(path: Path) -> None:
    first, second, encoder = VectorCache(path), VectorCache(path), Lengths()
    first.encode(encoder, TEXTS)
    second.encode(encoder, TEXTS)
    assert (first.hits, first.misses, second.hits, second.misses) == (0, 4, 4, 0)
    assert encoder.asked == 3  # the empty text needs no encoder


@pytest.mark.parametrize("other", [Lengths(version="2"), Lengths(name="other"), Lengths(dim=3)])
def test_another_encoder_version_or_width_misses(path: Path, other: Lengths) -> None:
    cache = VectorCache(path)
    cache.encode(Lengths(), TEXTS)
    np.testing.assert_array_equal(cache.encode(other, TEXTS), other.encode(TEXTS))
    assert cache.hits == 0


def test_queries_and_passages_are_kept_apart(path: Path) -> None:
    cache = VectorCache(path)
    cache.encode(Lengths(), TEXTS, "query")
    cache.encode(Lengths(), TEXTS, "passage")
    assert cache.hits == 0


def damage_all(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1_000)


def damage_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def damage_rows(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("UPDATE vectors SET vector = x'00'")
    database.commit()
    database.close()


@pytest.mark.parametrize("damage", [damage_all, damage_pages, damage_rows])
def test_a_damaged_file_is_built_again(path: Path, damage: Callable[[Path], None]) -> None:
    VectorCache(path).encode(Lengths(), TEXTS)
    damage(path)
    cache = VectorCache(path)
    np.testing.assert_array_equal(cache.encode(Lengths(), TEXTS), Lengths().encode(TEXTS))
    cache.encode(Lengths(), TEXTS)
    assert (cache.misses, cache.hits) == (4, 4)


def test_the_oldest_vectors_go_when_it_is_full(path: Path) -> None:
    cache = VectorCache(path, most_rows=3)
    cache.encode(Lengths(), ["one", "two"])
    cache.encode(Lengths(), ["three", "four"])
    cache.encode(Lengths(), ["two", "three", "four"])
    assert cache.hits == 3
    cache.encode(Lengths(), ["one"])
    assert cache.hits == 3


def test_several_may_write_one_file(path: Path) -> None:
    texts = [[f"text {worker} {number}" for number in range(300)] for worker in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda own: VectorCache(path).encode(Lengths(), own), texts))
    cache = VectorCache(path)
    cache.encode(Lengths(), [text for own in texts for text in own])
    assert (cache.hits, cache.misses) == (1_200, 0)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(StorageError, match=r"folder\.sqlite"):
        VectorCache(tmp_path / "folder.sqlite").encode(Lengths(), TEXTS)
