"""External ids: what they may be, and how a column of them becomes text."""

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pandas as pd

MAX_ID_LENGTH = 128
CATALOGUE = "[a-z0-9_-]{1,64}"  # what a catalogue may be called


def has_control_characters(text: str) -> bool:
    """Return whether `text` holds control characters or halves of surrogate pairs."""
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


# What makes an id unusable → whether it applies.
ID_PROBLEMS: dict[str, Callable[[str], bool]] = {
    "is empty": lambda text: not text,
    f"is longer than {MAX_ID_LENGTH} characters": lambda text: len(text) > MAX_ID_LENGTH,
    "holds control characters": has_control_characters,
    "is not in Unicode form NFC": lambda text: not unicodedata.is_normalized("NFC", text),
}
CATALOGUE_PROBLEMS: dict[str, Callable[[str], bool]] = {
    "is not 1 to 64 of a-z, 0-9, - and _": lambda text: re.fullmatch(CATALOGUE, text) is None
}


def id_problem(text: str) -> str | None:
    """Return why `text` cannot be a user_id or item_id, or None when it can."""
    if 0 < len(text) <= MAX_ID_LENGTH and text.isascii() and text.isprintable():
        return None  # nearly all ids, and ten times as fast as to ask for each problem
    return next((problem for problem, applies in ID_PROBLEMS.items() if applies(text)), None)


def as_ids(raw: pd.Series) -> pd.Series:
    """Return ids as text, missing ones as NA; 7 and 7.0 both become "7"."""
    codes, values = pd.factorize(raw)  # far fewer distinct ids than rows
    texts = pd.array([_text(value) for value in values], dtype="str")
    return pd.Series(texts.take(codes, allow_fill=True), index=raw.index, name=raw.name)


def _text(value: Any) -> str:
    # A column of whole numbers with gaps is read as floats: the id is the whole number.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
