"""The shoppers of a live state: all of them in the store, the lately seen ones in a replica."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from serve.state.catalogue import written_content
from serve.state.events import Row
from serve.state.purchases import NO_PURCHASES, Purchases, purchases_of
from train.data.schema import Interactions
from train.data.steps.events import PURCHASE
from train.encoders.traits import TraitEncoder
from train.models.shopper import MAX_HISTORY, NO_HISTORY, History, history_of

MAX_TRAITS = 64  # of a shopper


@dataclass(frozen=True, slots=True, kw_only=True)
class Shopper:
    """A history, as of the event `version` that was the last to change it (0: none since the bundle)."""

    version: int = 0
    history: History = NO_HISTORY
    order_key: str = ""  # of the newest row
    bought: Purchases = NO_PURCHASES
    traits: str = ""  # that were written, a mapping as JSON; empty where none ever were

    @property
    def content(self) -> str:
        """What can be read of the shopper's traits, and written over: an empty mapping of who is known without any."""
        return self.traits or ("{}" if self.version or not self.history.is_stranger else "")

    def appended(self, row: Row) -> "Shopper":
        """Return the shopper after one more event, which likes an item or returns one."""
        bought = self.bought
        if row.weight <= 0:
            bought = bought.returned(row.item_idx)
            return self if bought is self.bought else replace(self, version=row.seq, bought=bought)
        if row.event_type == PURCHASE:
            bought = bought.appended(row.item_idx, row.timestamp_ms)
        history = self.history.appended(row.item_idx, row.timestamp_ms, row.same_order)
        return Shopper(version=row.seq, history=history, order_key=row.order_key, bought=bought, traits=self.traits)

    def described(self, encoder: TraitEncoder | None) -> "Shopper":
        """Return the shopper with a history that carries the written traits, before those that the bundle knows."""
        if encoder is None or not self.traits:
            return self
        traits = encoder.changed(self.history.traits, json.loads(self.traits))
        return replace(self, history=replace(self.history, traits=traits))

    def in_order(self, order_key: str) -> bool:
        """Tell whether the newest row belongs to the order of this key."""
        return order_key != "" and order_key == self.order_key


class Shoppers(Protocol):
    """Whoever keeps histories while events are applied."""

    def append(self, user_id: str, row: Row) -> None:
        """Take an event that likes an item or returns one, or pass over a shopper that is not kept."""

    def merge(self, user_id: str, row: Row) -> None:
        """Let the history of `row.order_key` join that of `user_id`, and be nobody's else."""

    def describe(self, user_id: str, traits: str, seq: int) -> None:
        """Take what is known of a shopper beside the history, a mapping as JSON, from event `seq` on."""


class AllShoppers:
    """Every shopper: those with live events in memory, the others as the bundle knew them.

    forgotten: digest of a user_id → when; what the bundle knows of such a shopper up to then is nobody's.
    """

    def __init__(self, histories: Interactions, forgotten: Mapping[str, int] | None = None) -> None:
        self._histories = histories
        self.forgotten = {} if forgotten is None else forgotten  # grows while we look
        self.live: dict[str, Shopper] = {}

    def get(self, user_id: str) -> Shopper:
        """Return a shopper; a stranger has no history."""
        return self.live.get(user_id) or self.published(user_id)

    def published(self, user_id: str) -> Shopper:
        """Return a shopper as the bundle has them, less what was forgotten."""
        user_idx = self._histories.index.get(user_id)
        if user_idx is None:
            return Shopper()
        history, bought = history_of(self._histories, user_idx), purchases_of(self._histories, user_idx)
        if self.forgotten and (at_ms := self.forgotten.get(digest_of(user_id))) is not None:
            history, bought = _after(history, at_ms), bought.after(at_ms)
        return Shopper(history=history, bought=bought)

    def append(self, user_id: str, row: Row) -> None:
        """Take an event of a shopper's."""
        self.live[user_id] = self.get(user_id).appended(row)

    def merge(self, user_id: str, row: Row) -> None:
        """Let the history of `row.order_key` join that of `user_id`; whoever uses the old id again is a stranger."""
        self.live[user_id] = joined(self.get(user_id), self.get(row.order_key), row.seq)
        self.live[row.order_key] = self._with_traits(row.order_key, Shopper(version=row.seq))

    def describe(self, user_id: str, traits: str, seq: int) -> None:
        """Take what was written of a shopper in place of what was before."""
        self.live[user_id] = replace(self.get(user_id), version=seq, traits=traits)

    def restore(self, live: dict[str, Shopper]) -> None:
        """Go on from a snapshot's shoppers; it holds no traits of the bundle's."""
        self.live = {user_id: self._with_traits(user_id, shopper) for user_id, shopper in live.items()}

    def _with_traits(self, user_id: str, shopper: Shopper) -> Shopper:
        if (traits := self.published(user_id).history.traits) is None:
            return shopper
        return replace(shopper, history=replace(shopper.history, traits=traits))


class CachedShoppers:
    """The shoppers a replica saw last, at most `capacity`; the others must be asked for.

    An answer may be older or newer than the replica. So rows of a shopper who is being asked for are kept until the
    answer is here, and a row that a history already holds is passed over.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._kept: OrderedDict[str, Shopper] = OrderedDict()
        self._awaited: dict[str, list[Row]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, user_id: str) -> Shopper | None:
        """Return a kept shopper, who becomes the newest seen."""
        if (shopper := self._kept.get(user_id)) is not None:
            self._kept.move_to_end(user_id)
        return shopper

    def append(self, user_id: str, row: Row) -> None:
        """Take an event of a kept shopper's; hold it back for one who is awaited."""
        if (shopper := self._kept.get(user_id)) is not None:
            self._kept[user_id] = _caught_up(shopper, [row])
        elif user_id in self._awaited:
            self._awaited[user_id].append(row)

    def merge(self, user_id: str, row: Row) -> None:
        """Forget both shoppers of a merge; an answer that is under way may be from before it, and is not kept."""
        self._forget(user_id)
        self._forget(row.order_key)

    def describe(self, user_id: str, traits: str, seq: int) -> None:
        """Forget a shopper of whom something was written, as in a merge: it changes more than a row at the end."""
        self._forget(user_id)

    def expect(self, user_id: str) -> list[Row]:
        """Hold rows back from now on, because the store is being asked for this shopper; return where they will be."""
        self._awaited[user_id] = []
        return self._awaited[user_id]

    def awaits(self, user_id: str) -> bool:
        """Tell whether an answer that is under way will still be good."""
        return user_id in self._awaited

    def put(self, user_id: str, shopper: Shopper, rows: list[Row]) -> Shopper:
        """Return an awaited shopper with the rows that came meanwhile, and keep them; rows: of `expect`.

        One whose rows are held back no longer, because they were forgotten meanwhile, is not kept: rows may be missing.
        """
        if self._awaited.get(user_id) is not rows:
            return shopper
        return self.keep(user_id, _caught_up(shopper, self._awaited.pop(user_id)))

    def keep(self, user_id: str, shopper: Shopper) -> Shopper:
        """Return a shopper who is as of now, and keep them."""
        self._kept[user_id] = shopper
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)
        return shopper

    def clear(self) -> None:
        """Forget everybody."""
        self._kept.clear()
        self._awaited.clear()

    def give_up(self, user_id: str, rows: list[Row]) -> None:
        """Hold no more rows back for a shopper the store could not be asked for."""
        if self._awaited.get(user_id) is rows:
            del self._awaited[user_id]

    def _forget(self, user_id: str) -> None:
        self._kept.pop(user_id, None)
        self._awaited.pop(user_id, None)


def digest_of(user_id: str) -> str:
    """Return what stays of a forgotten shopper: enough to know the id again, and not to read it."""
    return hashlib.sha256(user_id.encode()).hexdigest()


def joined(shopper: Shopper, other: Shopper, version: int) -> Shopper:
    """Return one history of two, by time, with the newest rows; the other one's traits fill the first one's gaps."""
    pair = (other, shopper)
    time = np.concatenate([one.history.timestamp_ms for one in pair])
    order = np.argsort(time, kind="stable")[-MAX_HISTORY:]
    whose = np.repeat([0, 1], [len(one.history) for one in pair])[order]
    order_idx = np.concatenate([one.history.order_idx for one in pair])[order]
    begins = (np.diff(whose, prepend=whose[:1]) != 0) | (np.diff(order_idx, prepend=order_idx[:1]) != 0)
    history = History(
        item_idx=np.concatenate([one.history.item_idx for one in pair])[order], timestamp_ms=time[order],
        order_idx=np.cumsum(begins), traits=shopper.history.traits,
    )  # fmt: skip
    return Shopper(
        version=version, history=history, order_key=pair[whose[-1]].order_key if len(whose) else "",
        bought=shopper.bought.joined(other.bought), traits=_filled(shopper.traits, other.traits),
    )  # fmt: skip


def _filled(traits: str, others: str) -> str:
    """Return what was written of a shopper, and of another one where that says nothing; at most MAX_TRAITS."""
    if not (traits and others):
        return traits or others
    own, more = json.loads(traits), json.loads(others)
    gaps = [pair for pair in more.items() if pair[0] not in own]
    return written_content(own | dict(gaps[: max(0, MAX_TRAITS - len(own))]))


def _after(history: History, at_ms: int) -> History:
    later = history.timestamp_ms > at_ms
    if not later.any():
        return NO_HISTORY
    return History(
        item_idx=history.item_idx[later], timestamp_ms=history.timestamp_ms[later], order_idx=history.order_idx[later]
    )


def _caught_up(shopper: Shopper, rows: list[Row]) -> Shopper:
    for row in rows:
        if row.seq > shopper.version:
            shopper = shopper.appended(row)
    return shopper
