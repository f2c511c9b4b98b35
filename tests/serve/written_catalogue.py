"""A catalogue that the shop writes, its moves, and a thread whose turn the test decides on."""

import json
from typing import Any

import numpy as np
import pandas as pd

from serve.state.catalogue import LiveCatalogue, written_content
from serve.state.events import ItemWrite
from serve.state.moves import Moved, Moves
from tests.serve.index.later import Later


class WrittenCatalogue:
    """Who the items are, and what was written of them."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.catalogue, self.moves, self.builder = LiveCatalogue(frame), Moves(len(frame)), Later()

    def write(self, item_id: str, told: dict[str, Any] | None) -> None:
        """Write what an item says, or that it is offered no longer."""
        content = "" if told is None else written_content(told)
        item_idx = self.catalogue.write(ItemWrite(item_id, content), is_placed=False)
        self.moves.note(Moved(np.array([item_idx]), np.array([np.inf], np.float32)))

    def all_told(self) -> list[dict[str, Any]]:
        """Return what every item says now, one by one."""
        return [json.loads(self.catalogue.content(one) or "{}") for one in range(len(self.catalogue))]
