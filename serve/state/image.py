"""The live state as named arrays: what a snapshot holds, a replica starts from, and two states are compared by."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from serve.state.events import Position
from serve.state.live import LearnerConfig, LiveState
from serve.state.purchases import NO_PURCHASES, Purchases
from serve.state.shoppers import Shopper
from train.models.growing import GrowingMatrix
from train.models.shopper import History

HISTORY, BOUGHT = ("item_idx", "timestamp_ms", "order_idx"), ("item_idx", "timestamp_ms")  # columns, int64


class Image(NamedTuple):
    """The items of a live state at one moment."""

    position: Position
    bundle: str  # version
    config: LearnerConfig
    arrays: dict[str, np.ndarray]
    forgotten: Mapping[str, int]  # as of AllShoppers


def room_for(state: LiveState) -> dict[str, np.ndarray]:
    """Return memory for a copy of the items' arrays; any thread may ask.

    Copying into memory that was never written to takes ten times as long, and meanwhile nothing is committed.
    """
    return {name: np.full_like(array, 0) for name, array in _tables(state).items()}


def item_arrays(state: LiveState, room: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Return copies of all that the log changes, but the shoppers; room: of `room_for`, which the copies take up."""
    counted = state.items.transitions
    source, target, weight = counted.added.entries()
    room = room or {}
    return {name: _copied(array, room.get(name)) for name, array in _tables(state).items()} | {
        "opinion_shop": state.items.opinions.shop.copy(),
        "figures": state.figures.sums.copy(), "totals": np.array([state.items.n_events, state.items.recent_total]),
        "link_source": source, "link_target": target, "link_weight": weight,
        "marks": state.marks.to_array(), "documents": state.documents.to_array(),
        "catalogue": state.catalogue.to_array(),
        "anchors": state.anchor[sorted(state.catalogue.written)],
    }  # fmt: skip


def restore_items(state: LiveState, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of `item_arrays` into a state of the same bundle, in place."""
    items, counted = state.items, state.items.transitions
    state.catalogue.restore(arrays["catalogue"])
    state.documents.restore(arrays["documents"])
    state.marks.restore(arrays["marks"])
    state.resize(len(state.catalogue))
    others = {"figures": state.figures.sums, "opinion_shop": items.opinions.shop}
    for name, target in (_tables(state) | others).items():
        np.copyto(target, arrays[name], casting="no")
    items.n_events, items.recent_total = arrays["totals"].tolist()
    written = state.catalogue.written
    if written:
        state.own_anchor()[sorted(written)] = arrays["anchors"]
    items.gone[:] = False
    items.gone[[item_idx for item_idx, content in written.items() if not content]] = True
    links = (arrays[f"link_{part}"] for part in ("source", "target", "weight"))
    counted.added = GrowingMatrix.of(counted.added.most, *links)


def shopper_arrays(live: Mapping[str, Shopper]) -> dict[str, np.ndarray]:
    """Return all shoppers with live events, by user_id; the texts are one JSON list in bytes."""
    user_ids = sorted(live)
    shoppers = [live[user_id] for user_id in user_ids]
    told = {user_id: one.traits for user_id, one in zip(user_ids, shoppers, strict=True) if one.traits}
    texts = json.dumps([user_ids, [shopper.order_key for shopper in shoppers], told])
    buyers = [place for place, shopper in enumerate(shoppers) if len(shopper.bought)]
    return {
        "shopper_texts": np.frombuffer(texts.encode(), dtype=np.uint8),
        "shopper_version": np.array([shopper.version for shopper in shoppers], np.int64),
        **_packed("history", HISTORY, [shopper.history for shopper in shoppers]),
        "buyer": np.array(buyers, np.int64), **_packed("bought", BOUGHT, [shoppers[one].bought for one in buyers]),
    }  # fmt: skip


def read_shoppers(arrays: Mapping[str, np.ndarray]) -> dict[str, Shopper]:
    """Return the shoppers of `shopper_arrays`."""
    user_ids, order_keys, told = json.loads(arrays["shopper_texts"].tobytes())
    bought = {
        place: Purchases(item_idx=item_idx, timestamp_ms=timestamp_ms)
        for place, item_idx, timestamp_ms in zip(
            arrays["buyer"].tolist(), *_parts("bought", BOUGHT, arrays), strict=True
        )
    }
    versions = arrays["shopper_version"].tolist()
    return {
        user_id: Shopper(
            version=version, order_key=order_key, traits=told.get(user_id, ""), bought=bought.get(place, NO_PURCHASES),
            history=History(item_idx=item_idx, timestamp_ms=timestamp_ms, order_idx=order_idx),
        )
        for place, (user_id, order_key, version, item_idx, timestamp_ms, order_idx) in enumerate(
            zip(user_ids, order_keys, versions, *_parts("history", HISTORY, arrays), strict=True)
        )
    }  # fmt: skip


def _packed(kind: str, columns: Sequence[str], tables: Sequence[History | Purchases]) -> dict[str, np.ndarray]:
    """Return the columns of many tables, one below the other, and how long each is."""
    return {f"{kind}_length": np.array([len(one) for one in tables], np.int64)} | {
        f"{kind}_{name}": np.concatenate([getattr(one, name) for one in tables] or [np.empty(0, np.int64)])
        for name in columns
    }  # fmt: skip


def _parts(kind: str, columns: Sequence[str], arrays: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
    """Return each column of the tables of `_packed`, in as many parts."""
    ends = np.cumsum(arrays[f"{kind}_length"])
    return [np.split(arrays[f"{kind}_{name}"], ends)[:-1] for name in columns]


def _tables(state: LiveState) -> dict[str, np.ndarray]:
    """Return the arrays that have a row per item."""
    items, counted = state.items, state.items.transitions
    return {
        "vectors": items.vectors, "squares": state.squares, "popularity": items.popularity, "recent": items.recent,
        "rows": counted.rows, "columns": counted.columns, "opinion_total": items.opinions.total,
        "opinion_count": items.opinions.count,
    } | items.facets.arrays()  # fmt: skip


def _copied(array: np.ndarray, room: np.ndarray | None) -> np.ndarray:
    if room is None or room.shape != array.shape:  # there are more items than when the room was made
        return array.copy()
    np.copyto(room, array, casting="no")
    return room


def laid_out(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Return the arrays as a file has them, one behind the other: the widest numbers first, so that all lie aligned."""
    ordered = sorted(arrays.items(), key=lambda named: (-named[1].itemsize, named[0]))
    return [(name, np.ascontiguousarray(array)) for name, array in ordered]


def kind_of(array: np.ndarray) -> str:
    """Return the type of an array's numbers as safetensors spells it: F32, I64, U8."""
    return f"{array.dtype.kind.upper()}{8 * array.itemsize}"


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the sha256 of arrays with their names, types and shapes."""
    ordered = laid_out(arrays)
    total = begun([(name, kind_of(array), array.shape) for name, array in ordered])
    for _, array in ordered:
        total.update(array.data)
    return total.hexdigest()


def begun(table: Sequence[tuple[str, str, Sequence[int]]]) -> "hashlib._Hash":
    """Return the digest of arrays with these names, types and shapes, before their numbers, which come as laid out."""
    return hashlib.sha256(json.dumps(table).encode())
