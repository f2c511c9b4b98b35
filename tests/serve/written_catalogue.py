"""A catalogue that the shop writes, and a thread whose turn the test decides on."""

import json
from typing import Any

import pandas as pd

from serve.state.catalogue import LiveCatalogue, written_content
from serve.state.events import ITEM, Write
from tests.serve.index.later import Later


class WrittenCatalogue:
    """Who the items are, and what was written of them."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.catalogue, self.builder = LiveCatalogue(frame), Later()

    def write(self, item_id: str, told: dict[str, Any] | None) -> None:
        """Write what an item says, or that it is offered no longer."""
        content = "" if told is None else written_content(told)
        self.catalogue.write(Write(ITEM, item_id, content), is_placed=False)

    def all_told(self) -> list[dict[str, Any]]:
        """Return what every item says now, one by one."""
        return [json.loads(self.catalogue.content(one) or "{}") for one in range(len(self.catalogue))]
