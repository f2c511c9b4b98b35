"""Documents: what the shop has written beside its items, such as scenarios and rules, each with its own version."""

import json
from typing import NamedTuple

import numpy as np

from serve.state.events import SCENARIO, Write


class Document(NamedTuple):
    """What a document says now."""

    content: str = ""  # JSON; empty where there is none, or none any more
    version: int = 0  # how often it was written; deleting it counts, so that no version is given twice


MISSING = Document()
HOME = "home"  # the scenario of requests that name none
ALWAYS = {(SCENARIO, HOME): Document("{}")}  # what is there before anybody wrote it, and cannot be deleted


class Documents:
    """The documents of a live state, by kind and id. They are the shop's and no bundle's."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], Document] = {}
        self.n_changes = 0  # that this object saw; for whoever makes something of documents and keeps it

    def get(self, kind: str, name: str) -> Document:
        """Return a document."""
        return self._written.get((kind, name)) or ALWAYS.get((kind, name), MISSING)

    def all(self, kind: str) -> dict[str, Document]:
        """Return the documents of a kind that are there, by id, in the order of ids."""
        found = {name: one for (of, name), one in (ALWAYS | self._written).items() if of == kind and one.content}
        return dict(sorted(found.items()))

    def write(self, write: Write) -> None:
        """Take what a document says from now on."""
        self._written[write.kind, write.id] = Document(write.content, self.get(write.kind, write.id).version + 1)
        self.n_changes += 1

    def to_array(self) -> np.ndarray:
        """Return all documents as one JSON in bytes (m,) uint8."""
        told = json.dumps([[*key, *one] for key, one in sorted(self._written.items())])
        return np.frombuffer(told.encode(), dtype=np.uint8)

    def restore(self, array: np.ndarray) -> None:
        """Go back to what `to_array` returned."""
        self._written = {
            (kind, name): Document(content, version) for kind, name, content, version in json.loads(array.tobytes())
        }
        self.n_changes += 1
