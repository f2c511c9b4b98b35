"""What every text encoder offers: texts in, unit vectors out, and a name and version that vectors are stored under."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cluster.errors import BundleError, DataError

Kind = Literal["query", "passage"]  # what asks, and what is found; some models encode them differently
MAX_CHARACTERS = 2_000  # a longer text says nothing more of an item, and time grows with length


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Where vectors live; an inner product means something within one space only."""

    name: str
    version: str
    dim: int

    def require(self, other: "Space") -> None:
        """Raise unless vectors of `other` may be compared with vectors of this space."""
        if self != other:
            raise BundleError(
                f"vectors of {other.name} {other.version} (dim {other.dim}) cannot meet vectors of "
                f"{self.name} {self.version} (dim {self.dim}); encode again with {self.name} {self.version}"
            )


class Encoder(ABC):
    """Turns texts of any language and length into vectors of length 1."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """Where its vectors live."""

    @property
    def name(self) -> str:
        """What settings call it."""
        return self.space.name

    @property
    def version(self) -> str:
        """Changes whenever the same text would get another vector."""
        return self.space.version

    @property
    def dim(self) -> int:
        """Width of its vectors."""
        return self.space.dim

    def encode(self, texts: Sequence[str], kind: Kind = "query") -> np.ndarray:
        """Return (n, dim) float32 rows of length 1; a row is 0 where the text holds nothing that the encoder knows.

        The first 2,000 characters count.
        """
        cleaned = [clean(text) for text in texts]
        vectors = np.zeros((len(cleaned), self.dim), dtype=np.float32)
        filled = [row for row, text in enumerate(cleaned) if text]
        if filled:
            vectors[filled] = unit(self._finite([cleaned[row] for row in filled], kind))
        return vectors

    def _finite(self, texts: list[str], kind: Kind) -> np.ndarray:
        vectors = self._vectors(texts, kind)
        if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
            raise DataError(
                f"encoder {self.name} gave no numbers for {len(bad)} of {len(texts)} texts, such as "
                f"{texts[bad[0]][:40]!r}; take another encoder"
            )
        return vectors

    @abstractmethod
    def _vectors(self, texts: list[str], kind: Kind) -> np.ndarray:
        """Return (n, dim) of n ≥ 1 clean texts, of any length."""


def clean(text: str) -> str:
    """Return at most 2,000 characters that UTF-8 can hold, white space and control characters as single blanks."""
    readable = text[: 2 * MAX_CHARACTERS].encode("utf-8", "ignore").decode()
    return " ".join(readable.replace("\0", " ").split())[:MAX_CHARACTERS].strip()


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return rows at length 1, float32; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors, dtype=np.float32), where=lengths > 0)
