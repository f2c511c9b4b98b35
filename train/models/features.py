"""What the ranker knows of each candidate; the same lines for a batch and for a live request."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.models.item_state import DAY_MS, ItemState
from train.models.prospect import Prospect
from train.models.ragged import ITEM_BITS, ITEM_MASK, add_up, offsets_of, pairs, places, positions, union
from train.models.shopper import History
from train.models.words import alike, profiles

SEQUENCE = ("sequence_log_share", "sequence_gap")
TRANSITION = ("transition", "transition_log")
MEMORY = ("memory", "memory_log")
OWN = ("own_next_log",)
NEXT_WEIGHTS = (1.0, 0.6, 0.36)  # of an item so many rows after an earlier time of the newest one
WORDS = ("words",)
FACETS = ("category_share", "brand_share", "price_step")
ITEM = ("popularity_log", "recent_log", "repeat_rate")
QUALITY = ("quality",)
REPEAT = (
    "is_repeat", "count_log", "count_fast", "count_slow", "count_days", "orders_since", "days_since",
    "interval_ratio", "has_interval", "interval_days", "order_share", "in_open_order",
)  # fmt: skip
CONTEXT = ("orders_log", "history_log", "order_is_open", "open_order_log")
FEATURES = SEQUENCE + TRANSITION + MEMORY + OWN + WORDS + FACETS + ITEM + QUALITY + REPEAT + CONTEXT

TASTE_ROWS = 100  # of a history that say what its shopper likes
TASTE_DECAY = 0.98  # of a row, for each one after it
READ_TOGETHER = 16  # shoppers whose candidates' words stay in the processor's cache
NO_ITEMS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Candidates of several shoppers side by side."""

    item_idx: np.ndarray  # (n,) int64
    pair: np.ndarray  # (n,) int64, a number for each pair of shopper and item
    counts: np.ndarray  # (s,) int64, rows of each shopper

    @classmethod
    def of(cls, prospects: Sequence[Prospect]) -> "Rows":
        """Return the candidates of some shoppers."""
        counts = np.array([len(prospect.candidates) for prospect in prospects], dtype=np.int64)
        item_idx = np.concatenate([NO_ITEMS, *(prospect.candidates.item_idx for prospect in prospects)])
        return cls(item_idx=item_idx, pair=pairs(places(counts)[0], item_idx), counts=counts)

    @classmethod
    def of_pairs(cls, pair: np.ndarray, n_shoppers: int) -> "Rows":
        """Return the rows of ascending pairs (n,)."""
        return cls(item_idx=pair & ITEM_MASK, pair=pair, counts=np.diff(offsets_of(pair, n_shoppers)))

    def __len__(self) -> int:
        return len(self.item_idx)

    def each_item_idx(self) -> list[np.ndarray]:
        """Return the items of each shopper, views of item_idx."""
        ends = np.cumsum(self.counts).tolist()
        return [self.item_idx[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def spread(self, values: list[float]) -> np.ndarray:
        """Return what each shopper (s,) has, on all of their rows, (n,)."""
        return np.repeat(np.array(values, dtype=np.float64), self.counts)

    def reduce(self, by: np.ufunc, column: np.ndarray) -> np.ndarray:
        """Return `by` over each shopper's rows, on all of their rows, (n,)."""
        some = self.counts[self.counts > 0]
        return np.repeat(by.reduceat(column, np.cumsum(some) - some), some) if len(some) else column


def features(prospects: Sequence[Prospect], state: ItemState) -> np.ndarray:
    """Return (n, len(FEATURES)) float32 for the candidates of some shoppers, side by side.

    A row does not depend on whom else is asked about. Time is measured from the shopper's own last event, never from
    the clock on the wall, so that the same state gives the same features at any hour and a replayed decision comes out
    bit for bit.
    """
    rows = Rows.of(prospects)
    columns = np.empty((len(FEATURES), len(rows)), dtype=np.float32)
    columns[: len(SEQUENCE)] = _sequence(rows, prospects, state)
    _describe(rows, prospects, state, columns[len(SEQUENCE) :])
    return columns.T


def features_of_lists(lists: Sequence[Sequence[Prospect]], state: ItemState) -> list[np.ndarray]:
    """Return what `features` says of each list, to the bit; the lists hold other candidates of the same shoppers.

    Only SEQUENCE compares a candidate with the rest of its list. All else is worked out once for the items of any list.
    """
    rows = [Rows.of(prospects) for prospects in lists]
    every = Rows.of_pairs(union([one.pair for one in rows]), len(lists[0]))
    known = np.empty((len(FEATURES) - len(SEQUENCE), len(every)), dtype=np.float32)
    _describe(every, lists[0], state, known)
    found = []
    for own, prospects in zip(rows, lists, strict=True):
        columns = np.empty((len(FEATURES), len(own)), dtype=np.float32)
        columns[: len(SEQUENCE)] = _sequence(own, prospects, state)
        np.take(known, np.searchsorted(every.pair, own.pair), axis=1, out=columns[len(SEQUENCE) :], mode="clip")
        found.append(columns.T)
    return found


def _describe(rows: Rows, prospects: Sequence[Prospect], state: ItemState, columns: np.ndarray) -> None:
    """Write what is known of each row whatever the rest of its list; of the prospects, no candidates are read."""
    end = 0
    for part in (
        _transition(rows, prospects),
        _memory(rows, prospects, state),
        _own_next(rows, prospects),
        _words(rows, prospects, state),
        _facets(rows, prospects, state),
        _item(rows, state),
        _quality(rows, state),
        _repeat(rows, prospects),
        _context(rows, prospects),
    ):
        start, end = end, end + len(part)
        columns[start:end] = part


def _sequence(rows: Rows, prospects: Sequence[Prospect], state: ItemState) -> np.ndarray:
    # One product for each shopper: those of other heights may differ in their last bits.
    logits = [state.vectors.take(prospect.candidates.item_idx, axis=0) @ prospect.vector for prospect in prospects]
    logit = np.concatenate([np.empty(0), *logits])
    gap = logit - rows.reduce(np.maximum, logit)
    return np.stack((gap - np.log(rows.reduce(np.add, np.exp(gap)) + 1e-12), gap))


def _transition(rows: Rows, prospects: Sequence[Prospect]) -> np.ndarray:
    followers = [prospect.followers for prospect in prospects]
    owner, _ = places(np.array([len(found.item_idx) for found in followers], dtype=np.int64))
    items = np.concatenate([NO_ITEMS, *(found.item_idx for found in followers)])
    share = [found.score / max(found.score.sum(), 1e-300) for found in followers]
    score = np.zeros(len(rows))
    found, place = positions(pairs(owner, items), rows.pair)
    score[found] = np.concatenate([np.empty(0), *share])[place]
    return np.stack((score, np.log(score + 1e-4)))


def _memory(rows: Rows, prospects: Sequence[Prospect], state: ItemState) -> np.ndarray:
    """Return what share each item has of all that the shopper's history leads to, not its last items alone."""
    known = zip(prospects, rows.each_item_idx(), strict=True)
    shares = [state.transitions.shares(prospect.history.item_idx, items) for prospect, items in known]
    share = np.concatenate([np.empty(0), *shares])
    return np.stack((share, np.log(share + 1e-4)))


def _own_next(rows: Rows, prospects: Sequence[Prospect]) -> np.ndarray:
    """Return how often each item came soon after the shopper's newest one before, in the shopper's own history."""
    pair, weight = [NO_ITEMS], [np.empty(0)]
    for owner, prospect in enumerate(prospects):
        items = prospect.history.item_idx
        earlier = np.flatnonzero(items[:-1] == items[-1:])
        for ahead, worth in enumerate(NEXT_WEIGHTS if len(earlier) else (), start=1):
            later = earlier[earlier + ahead < len(items)] + ahead
            pair.append(pairs(np.full(len(later), owner), items[later]))
            weight.append(np.full(len(later), worth))
    own, total = add_up(np.concatenate(pair), np.concatenate(weight))
    found, place = positions(own, rows.pair)
    score = np.zeros(len(rows))
    score[found] = total[place]
    return np.log1p(score)[None]


def _words(rows: Rows, prospects: Sequence[Prospect], state: ItemState) -> np.ndarray:
    config, cosines = state.config.transitions, [np.empty(0)]
    items = rows.each_item_idx()
    for start in range(0, len(prospects), READ_TOGETHER):
        some = slice(start, start + READ_TOGETHER)
        newest = [prospect.history.newest_first(config.window) for prospect in prospects[some]]
        said = profiles(state.words, newest, config.history_decay)
        cosines.append(alike(state.words, items[some], said))
    return np.concatenate(cosines)[None]


def _facets(rows: Rows, prospects: Sequence[Prospect], state: ItemState) -> np.ndarray:
    """Return what share of a shopper's rows has the candidate's category, its brand, and how far its price lies.

    A row counts TASTE_DECAY of the one after it, and nothing where the item does not say. How far: the logarithm of how
    many times the price is what the shopper pays, a geometric mean.
    """
    newest = [prospect.history.newest_first(TASTE_ROWS) for prospect in prospects]
    owner, age = places(np.array([len(items) for items in newest], dtype=np.int64))
    items, asker, n = np.concatenate([NO_ITEMS, *newest]), rows.pair >> ITEM_BITS, len(prospects)
    facets, weight = state.facets, (TASTE_DECAY ** np.arange(TASTE_ROWS))[age]
    # Shares of category and brand in one go, as if each shopper were two, n apart.
    told = np.concatenate((facets.category[items], facets.brand[items]))
    owners = np.concatenate((owner, owner + n))
    worth = np.where(told > 0, np.concatenate((weight, weight)), 0.0)
    worth /= np.maximum(np.bincount(owners, worth, 2 * n), 1e-12)[owners]
    own, total = add_up(pairs(owners, told), worth)
    wanted = np.concatenate((facets.category[rows.item_idx], facets.brand[rows.item_idx]))
    found, place = positions(own, pairs(np.concatenate((asker, asker + n)), wanted))
    columns = np.zeros((len(FACETS), len(rows)))
    columns[:2].ravel()[found] = total[place]
    price, paid = facets.price[rows.item_idx], facets.price[items]
    whole = np.bincount(owner, weight * (paid > 0), n)
    usual = np.bincount(owner, weight * np.log1p(paid), n) / np.maximum(whole, 1e-12)
    columns[2] = np.where((price > 0) & (whole > 0)[asker], np.log1p(price) - usual[asker], 0.0)
    return columns


def _item(rows: Rows, state: ItemState) -> np.ndarray:
    item_idx = rows.item_idx
    return np.stack((
        np.log((state.popularity[item_idx] + 1) / (state.n_events + 1)),
        np.log(state.recent[item_idx] / (state.recent_total + 1e-300) + 1e-7),
        state.repeat_rate[item_idx],
    ))  # fmt: skip


def _quality(rows: Rows, state: ItemState) -> np.ndarray:
    return state.opinions.means(rows.item_idx, state.config.opinion_prior)[None]


def _repeat(rows: Rows, prospects: Sequence[Prospect]) -> np.ndarray:
    columns = np.zeros((len(REPEAT), len(rows)))
    histories = [prospect.history for prospect in prospects]
    owner, _ = places(np.array([len(history) for history in histories], dtype=np.int64))
    items = np.concatenate([NO_ITEMS, *(history.item_idx for history in histories)])
    own, position = np.unique(pairs(owner, items), return_inverse=True)
    found, place = positions(own, rows.pair)
    if found.any():  # never where shoppers are not shown what they had
        columns[:, found] = _repeat_statistics(own >> ITEM_BITS, position, histories)[:, place]
    return columns


def _repeat_statistics(owner: np.ndarray, position: np.ndarray, histories: list[History]) -> np.ndarray:
    """Return (len(REPEAT), m): how often, how lately and how regularly the shoppers took each of their m items.

    owner: (m,) whose item it is; position: (events,) the item of each event, all histories side by side.
    """
    known = [history for history in histories if len(history)]
    orders_ago = np.concatenate([history.order_idx[-1] - history.order_idx for history in known])
    days_ago = np.concatenate([history.timestamp_ms[-1] - history.timestamp_ms for history in known]) / DAY_MS
    n_orders = np.array([_orders(history) for history in histories])[owner]
    count = np.bincount(position)
    last_order, last_day, first_day = (np.full(len(owner), start) for start in (np.inf, np.inf, 0.0))
    np.minimum.at(last_order, position, orders_ago)
    np.minimum.at(last_day, position, days_ago)
    np.maximum.at(first_day, position, days_ago)
    again = count > 1
    interval = np.where(again, (first_day - last_day) / np.maximum(count - 1, 1), 0.0)
    return np.stack((
        np.ones(len(owner)),
        np.log(count),
        np.log1p(3 * np.bincount(position, 0.9**orders_ago)),
        np.log1p(3 * np.bincount(position, 0.98**orders_ago)),
        np.log1p(3 * np.bincount(position, np.exp(-days_ago / 30))),
        np.log1p(last_order),
        np.log1p(last_day),
        np.where(again, np.log((last_day + 0.5) / (interval + 0.5)), 0.0),
        again,
        np.log1p(interval),
        count / n_orders,
        (last_order == 0) & np.array([history.is_open for history in histories])[owner],
    ))  # fmt: skip


def _context(rows: Rows, prospects: Sequence[Prospect]) -> np.ndarray:
    orders = [_orders(prospect.history) for prospect in prospects]
    events = [len(prospect.history) for prospect in prospects]
    lines = [_open_lines(prospect.history) for prospect in prospects]
    known = (np.log1p(orders), np.log1p(events), np.minimum(lines, 1), np.log1p(lines))
    return np.stack([rows.spread(one.tolist()) for one in known])


def _open_lines(history: History) -> int:
    return int((history.order_idx == history.order_idx[-1]).sum()) if history.is_open and len(history) else 0


def _orders(history: History) -> int:
    return int(history.order_idx[-1] - history.order_idx[0]) + 1 if len(history) else 0
