"""Membership: which of the shop's catalogues each item is in. An id belongs to one of them alone."""

import json
from array import array
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from train.data.ids import CATALOGUE
from train.data.schema import PRODUCTS

CatalogueName = Annotated[str, Field(pattern=f"^{CATALOGUE}$")]
NOWHERE = -1  # of an item that is offered no longer
NAMED = 10  # catalogues that an error names


class Membership:
    """The catalogue of every item that is offered, by item_idx.

    A catalogue begins with its first item and stays when its last one goes: what shows it is then empty, not wrong.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        """Begin with a bundle's `items`."""
        home = homes(frame)
        found = pd.Categorical(home, categories=[PRODUCTS, *sorted(set(home) - {PRODUCTS})])
        self._codes: dict[str, int] = {name: code for code, name in enumerate(found.categories)}
        self._code = array("i", found.codes.astype(np.intc).tobytes())  # by item_idx
        self._n_offered: list[int] = np.bincount(found.codes, minlength=len(self._codes)).tolist()  # by code

    def __contains__(self, catalogue: object) -> bool:
        return catalogue in self._codes

    @property
    def counts(self) -> dict[str, int]:
        """How many items each catalogue offers, in the order of names."""
        return {name: self._n_offered[code] for name, code in sorted(self._codes.items())}

    @property
    def begun(self) -> list[str]:
        """The catalogues beside that of PRODUCTS, which is always there."""
        return [name for name in sorted(self._codes) if name != PRODUCTS]

    def of(self, item_idx: int) -> str | None:
        """Return the catalogue of an item, None where it is not offered."""
        code = self._code[item_idx]
        return None if code == NOWHERE else list(self._codes)[code]

    def among(self, catalogue: str) -> np.ndarray:
        """Return which items a catalogue offers, (n_items,) bool."""
        return np.array(self._code, np.intc) == self._codes[catalogue]

    def is_whole(self, catalogue: str) -> bool:
        """Tell whether no other catalogue offers anything."""
        return sum(self._n_offered) == self._n_offered[self._codes[catalogue]]

    def put(self, item_idx: int, catalogue: str | None) -> None:
        """Let an item, perhaps the next one, be in a catalogue, which may be new, or in none."""
        if item_idx == len(self._code):
            self._code.append(NOWHERE)
        if (before := self._code[item_idx]) != NOWHERE:
            self._n_offered[before] -= 1
        code = NOWHERE if catalogue is None else self._begun(catalogue)
        if code != NOWHERE:
            self._n_offered[code] += 1
        self._code[item_idx] = code

    def begin(self, *catalogues: str) -> None:
        """Let catalogues be there, with or without items."""
        for catalogue in catalogues:
            self._begun(catalogue)

    def lacks(self, catalogue: str) -> str:
        """Return, in words, that there is no such catalogue, and which there are."""
        names = [repr(name) for name in sorted(self._codes)]
        more = [f"{len(names) - NAMED} others"] if len(names) > NAMED else []
        told = ", ".join([*names[:NAMED], *more])
        return f"catalogue {catalogue[:128]!r} does not exist; there {'is' if len(names) == 1 else 'are'} {told}"

    def _begun(self, catalogue: str) -> int:
        """Return the code of a catalogue, which begins where there was none."""
        if (code := self._codes.setdefault(catalogue, len(self._codes))) == len(self._n_offered):
            self._n_offered.append(0)
        return code


def homes(frame: pd.DataFrame) -> pd.Series:
    """Return the catalogue of each of a bundle's items, (n,) of str."""
    return frame["catalogue"].fillna(PRODUCTS) if "catalogue" in frame else pd.Series(PRODUCTS, frame.index)


def misplaced(what: str, home: str | None, catalogue: str) -> str | None:
    """Return, in words, that an item is in another catalogue than the one that somebody says; None where it is not."""
    return None if home in (None, catalogue) else f"{what} is in catalogue {home!r}, not in {catalogue!r}"


def home_of(content: str) -> str | None:
    """Return the catalogue of an item that says this of itself, None where it is offered no longer."""
    if not content:
        return None
    # Most name none, and to look for the word takes a fraction of the time of reading.
    return json.loads(content).get("catalogue", PRODUCTS) if '"catalogue"' in content else PRODUCTS
