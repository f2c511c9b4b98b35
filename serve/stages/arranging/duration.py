"""Durations as documents spell them: `12h`, `30d`, `6w`."""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

UNITS_MS = {"h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
SPELLED = re.compile(r"([1-9][0-9]{0,3})([hdw])")


def milliseconds(duration: str) -> int:
    """Return how long a duration is; raises ValueError where it is none."""
    if (found := SPELLED.fullmatch(duration)) is None:
        raise ValueError(f"{duration[:32]!r} is no duration; write 1 to 9999 hours, days or weeks, as 12h, 30d or 6w")
    count, unit = found.groups()
    return int(count) * UNITS_MS[unit]


def _spelled(duration: str) -> str:
    milliseconds(duration)
    return duration


Duration = Annotated[
    str, AfterValidator(_spelled), WithJsonSchema({"type": "string", "pattern": f"^{SPELLED.pattern}$"})
]  # fmt: skip
