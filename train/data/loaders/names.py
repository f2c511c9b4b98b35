"""How shops and data sets spell the canonical columns; case, spaces and hyphens do not matter."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cluster.errors import DataError

# canonical name → spellings, the likeliest first
Names = dict[str, tuple[str, ...]]

EVENT_NAMES: Names = {
    "user_id": ("user_id", "userid", "user", "customer_id", "customerid", "customer", "visitor_id", "visitorid",
                "household_id", "reviewerid", "reviewer_id", "client_id", "uid"),
    "item_id": ("item_id", "itemid", "item", "product_id", "productid", "product", "sku", "asin", "article_id",
                "stockcode", "movieid"),
    "event_type": ("event_type", "eventtype", "event", "type", "action", "behavior", "behaviour"),
    "timestamp": ("timestamp", "time", "ts", "datetime", "date", "event_time", "created_at", "unixreviewtime",
                  "unix_review_time", "invoicedate"),
    "position": ("position",),
    "value": ("value", "rating", "overall", "score"),
    "quantity": ("quantity", "qty", "count"),
    "price": ("price", "unit_price", "unitprice"),
    "session_id": ("session_id", "sessionid", "session"),
    "order_id": ("order_id", "orderid", "order", "basket_id", "basketid", "invoice", "invoiceno", "transaction_id"),
    "text": ("text", "reviewtext", "review_text", "review", "comment"),
}  # fmt: skip
ITEM_NAMES: Names = {
    "item_id": EVENT_NAMES["item_id"],
    "title": ("title", "name", "product_name", "item_name"),
    "description": ("description", "short_text", "summary"),
    "category_path": ("category_path", "category", "categories"),
    "tags": ("tags", "genres", "keywords"),
    "brand": ("brand", "manufacturer"),
    "price": EVENT_NAMES["price"],
    "rating": ("rating", "average_rating", "stars"),
    "image": ("image", "image_url", "image_path"),
    "attributes": ("attributes", "attribute_ids"),
    "catalogue": ("catalogue", "catalog"),
}
USER_NAMES: Names = {"user_id": EVENT_NAMES["user_id"], "traits": ("traits",)}

ID_SPELLINGS = {
    spelling for name in ("user_id", "item_id", "session_id", "order_id") for spelling in EVENT_NAMES[name]
}  # fmt: skip


def plain(name: object) -> str:
    """Return a column name in lower case with underscores."""
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def canonical(frame: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Return the columns that `names` knows, under their canonical names."""
    by_spelling = {plain(column): column for column in reversed(frame.columns)}
    found = {
        name: frame[by_spelling[spelling]]
        for name, spellings in names.items()
        if (spelling := next((spelling for spelling in spellings if spelling in by_spelling), None))
    }
    return pd.DataFrame(found, index=frame.index)


def require(frame: pd.DataFrame, needed: Iterable[str], names: Names, path: Path, found: Iterable[object]) -> None:
    """Raise DataError that names the file, what it lacks and what it has instead."""
    missing = [name for name in needed if name not in frame]
    if missing:
        spellings = "; ".join(f"{name} may be spelled {', '.join(names[name])}" for name in missing)
        raise DataError(
            f"{path} lacks the column {' and '.join(missing)}; it has {', '.join(map(str, found))}; {spellings}"
        )
