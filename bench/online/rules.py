"""What any online engine must beat: plain counts that learn from every event, without any of the engine's code."""

from collections import defaultdict

import numpy as np

from bench.online.stream import Log

DAY_MS = 86_400_000
WINDOW, DECAY = 3, 0.3  # links to so many items before, each step back worth less
ORDER_DECAY = 0.9  # of what a shopper took, per order since
HALF_LIVES_DAYS = (1, 7, 30)  # of popularity

PARTS = ("transitions", "personal", *(f"popularity, {days} d" for days in HALF_LIVES_DAYS))


class LiveRules:
    """Transitions between a shopper's items, what each shopper took, and popularity that fades."""

    def __init__(self, log: Log) -> None:
        self._log, self.place = log, 0  # place: of the next row to learn
        self.n_items = log.fitted.catalogue.n_items
        self._links: defaultdict[int, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
        self._newest: defaultdict[int, list[int]] = defaultdict(list)
        self._orders: defaultdict[int, list[int]] = defaultdict(list)  # user → order of each of their rows
        self._taken: defaultdict[int, list[int]] = defaultdict(list)
        self._popular = np.zeros((len(HALF_LIVES_DAYS), self.n_items))
        self._counted_ms = 0

    def learn_until(self, place: int) -> None:
        """Count all rows before a place, in the order in which they happened."""
        rows, at = self._log.rows, self._log.row_at[self.place : place]
        columns = (rows.user_idx[at], rows.item_idx[at], rows.timestamp_ms[at], rows.order_idx[at])
        for row in zip(*(column.tolist() for column in columns), strict=True):
            self._learn(*row)
        self.place = max(place, self.place)

    def scores(self, user_idx: int) -> np.ndarray:
        """Return each part's shares of all items, (len(PARTS), n_items); a part that knows nothing is zero."""
        found = np.zeros((len(PARTS), self.n_items))
        for age, source in enumerate(self._newest[user_idx]):
            links = self._links[source]
            total = sum(links.values())
            for item, count in links.items():
                found[0, item] += DECAY**age * count / total
        orders = np.array(self._orders[user_idx][-1_000:])
        if len(orders):
            ago = np.searchsorted(np.unique(-orders), -orders)
            np.add.at(found[1], self._taken[user_idx][-1_000:], ORDER_DECAY**ago)
        found[2:] = self._popular
        return found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12)

    def _learn(self, user_idx: int, item_idx: int, timestamp_ms: int, order_idx: int) -> None:
        newest = self._newest[user_idx]
        for age, source in enumerate(newest):
            self._links[source][item_idx] += DECAY**age
        newest.insert(0, item_idx)
        del newest[WINDOW:]
        self._taken[user_idx].append(item_idx)
        self._orders[user_idx].append(order_idx)
        self._fade(timestamp_ms)
        self._popular[:, item_idx] += 1

    def _fade(self, now_ms: int) -> None:
        passed = (now_ms - self._counted_ms) / DAY_MS
        if self._counted_ms and passed > 0.01:
            self._popular *= 0.5 ** (passed / np.array(HALF_LIVES_DAYS))[:, None]
        if not self._counted_ms or passed > 0.01:
            self._counted_ms = now_ms
