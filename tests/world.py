"""A tiny generated shop whose right answers are known.

Items come in categories, and each category is a ring: whoever had item i of it gets item i + 1 next. A user stays in
one category, so `next_item` of the last item is the one right recommendation.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from train.data.schema import Tables

START = pd.Timestamp("2024-01-01", tz="UTC")
BRANDS = ("Acme", "Bolt", "Cove")


def tiny_world(
    seed: int = 0,
    n_users: int = 40,
    n_items: int = 24,
    n_categories: int = 4,
    orders_per_user: int = 8,
    order_size: int = 1,
    repeat_share: float = 0.0,
) -> Tables:
    """Return a shop with a clock; an order holds `order_size` successive items of its user's ring.

    repeat_share: probability that an order, instead, is the user's first order once more (the ring stands still).
    """
    rng = np.random.default_rng(seed)
    ring_size = n_items // n_categories
    user = np.repeat(np.arange(n_users), orders_per_user)
    order = np.tile(np.arange(orders_per_user), n_users)
    repeated = (rng.random(len(user)) < repeat_share) & (order > 0)
    moved = np.cumsum(~repeated.reshape(n_users, orders_per_user), axis=1).ravel() - 1
    turn = np.where(repeated, 0, moved * order_size) + np.repeat(rng.integers(ring_size, size=n_users), orders_per_user)
    position = (turn[:, None] + np.arange(order_size)) % ring_size  # (orders, lines)
    item = (user % n_categories)[:, None] * ring_size + position
    seconds = (user * 7919) % 86_400 + order * 86_400 + rng.integers(3_600, size=len(user))
    items = _items(ring_size * n_categories, ring_size)
    events = pd.DataFrame({
        "user_id": np.repeat([f"u{index:04d}" for index in user], order_size),
        "item_id": items["item_id"].to_numpy()[item.ravel()],
        "event_type": "purchase",
        "timestamp": np.repeat(START + pd.to_timedelta(seconds, unit="s"), order_size),
        "quantity": 1,
        "price": items["price"].to_numpy()[item.ravel()],
        "order_id": np.repeat([f"o{u}-{o}" for u, o in zip(user, order, strict=True)], order_size),
    })  # fmt: skip
    users = pd.DataFrame({
        "user_id": [f"u{index:04d}" for index in range(n_users)],
        "traits": [{"club": bool(index % 2)} for index in range(n_users)],
    })  # fmt: skip
    return Tables(name="tiny_world", events=events, items=items, users=users)


def next_item(item_id: str, n_items: int = 24, n_categories: int = 4) -> str:
    """Return what follows an item on its ring."""
    ring_size = n_items // n_categories
    index = int(item_id.removeprefix("i"))
    return f"i{index // ring_size * ring_size + (index + 1) % ring_size:04d}"


def write_world(tables: Tables, folder: Path) -> Path:
    """Write a world as the files a shop would hand over, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tables.events.to_parquet(folder / "events.parquet")
    tables.items.to_parquet(folder / "items.parquet")
    tables.users.to_parquet(folder / "users.parquet")
    return folder


def _items(n_items: int, ring_size: int) -> pd.DataFrame:
    index = np.arange(n_items)
    return pd.DataFrame({
        "item_id": [f"i{i:04d}" for i in index],
        "title": [f"Thing {i % ring_size} of ring {i // ring_size}" for i in index],
        "category_path": [f"Shop > Ring {i // ring_size}" for i in index],
        "tags": [[f"step{i % ring_size}"] for i in index],
        "brand": [BRANDS[i % len(BRANDS)] for i in index],
        "price": 1.0 + index,
    })  # fmt: skip
