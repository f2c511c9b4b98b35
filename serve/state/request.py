"""Events that arrived together, in the words of whichever bundle their gateway serves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from serve.state.events import UNJUDGED, UNKNOWN, Event
from serve.state.live import LiveState
from train.data.schema import NO_ITEM


class Request(NamedTuple):
    """Events that arrived together."""

    events: Sequence[Event]
    vectors: np.ndarray  # (n, d) float32, h_u of each event's shopper
    bundle: str = ""  # version that item_idx and vectors speak of; the served one when empty
    reader: str = ""  # who sent them, and is told what becomes of them with the acks

    def in_words_of(self, state: LiveState) -> "Request":
        """Return the request as a gateway of the bundle served would send it; an h_u of another space makes no step.

        Items that the sender had not heard of go by their ids.
        """
        index, own = state.catalogue.index, self.bundle in ("", state.bundle)
        events = [event if own else replace(event, judged=UNJUDGED) for event in self.events]
        events = [
            event if event.item_idx == NO_ITEM or (own and event.item_idx != UNKNOWN)
            else replace(event, item_idx=index.get(event.item_id, UNKNOWN))
            for event in events
        ]  # fmt: skip
        shape = len(events), state.items.vectors.shape[1]
        return Request(events, self.vectors if own else np.zeros(shape, np.float32))
