"""UCI Online Retail I and II: invoices of a British gift shop, in either spelling (Chen et al., 2012)."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from train.data.columns import as_mappings, as_numbers
from train.data.ids import as_ids
from train.data.loaders.names import Names, canonical, plain, require
from train.data.loaders.read import read_table
from train.data.report import Report
from train.data.schema import Tables

Guests = Literal["drop", "keep"]

UCI_NAMES: Names = {
    "invoice": ("invoiceno", "invoice"),
    "item_id": ("stockcode",),
    "title": ("description",),
    "quantity": ("quantity",),
    "timestamp": ("invoicedate",),
    "price": ("unitprice", "price"),
    "user_id": ("customerid", "customer_id"),
    "country": ("country",),
}
# Postage, fees, samples, manual corrections, vouchers and tests, which nobody can be recommended.
NOT_A_PRODUCT = r"POST|DOT|M|D|S|B|C2|C3|CRUK|PADS|ADJUST\d*|AMAZONFEE|BANK CHARGES|TEST.*|GIFT(?:_.*)?"


def load_online_retail(path: Path, guests: Guests = "drop") -> Tables:
    """Return purchases and returns; an invoice is an order.

    guests: lines without a customer; `keep` makes each of their invoices a user.
    """
    return retail_to_tables(read_table(path), path, guests)


def is_online_retail(frame: pd.DataFrame) -> bool:
    """Return whether a table spells its columns as UCI does."""
    return {"stockcode", "invoicedate"} <= {plain(column) for column in frame.columns}


def retail_to_tables(frame: pd.DataFrame, path: Path, guests: Guests = "drop") -> Tables:
    """Return canonical tables from UCI's columns; the report says which lines were left out."""
    lines = canonical(frame, UCI_NAMES)
    require(lines, (name for name in UCI_NAMES if name != "country"), UCI_NAMES, path, frame.columns)
    lines, report = _merchandise(_plain(lines))
    lines, report = _with_customer(lines, guests, report)
    return Tables(name=path.stem, events=_events(lines), items=_items(lines), users=_users(lines), report=report)


def _plain(lines: pd.DataFrame) -> pd.DataFrame:
    """Return ids as text; the shop wrote one product as 85123a and 85123A, and customers as 17850.0."""
    return lines.assign(
        invoice=as_ids(lines["invoice"]),
        item_id=as_ids(lines["item_id"]).str.strip().str.upper(),
        user_id=as_ids(lines["user_id"]).str.removesuffix(".0"),
        title=lines["title"].astype("str").str.strip(),
    )


def _merchandise(lines: pd.DataFrame) -> tuple[pd.DataFrame, Report]:
    products = lines[~lines["item_id"].str.fullmatch(NOT_A_PRODUCT).fillna(False)]
    report = Report().add("products only", len(lines), len(products), "postage, fees, vouchers and the like left out")
    priced = products[as_numbers(products["price"]) > 0]  # what is no number is infinite here, and refused later
    return priced, report.add("priced only", len(products), len(priced), "zero and negative prices: write-offs")


def _with_customer(lines: pd.DataFrame, guests: Guests, report: Report) -> tuple[pd.DataFrame, Report]:
    if guests == "keep":
        known = lines.assign(user_id=lines["user_id"].fillna("guest-" + lines["invoice"]))
        return known, report.add("guests", len(lines), len(known), "each invoice of a guest is a user")
    known = lines[lines["user_id"].notna()]
    return known, report.add("guests", len(lines), len(known), "lines without a customer left out")


def _events(lines: pd.DataFrame) -> pd.DataFrame:
    quantity = as_numbers(lines["quantity"])
    returned = lines["invoice"].str.upper().str.startswith("C") | (quantity < 0)
    return pd.DataFrame({
        "user_id": lines["user_id"],
        "item_id": lines["item_id"],
        "event_type": np.where(returned, "return", "purchase"),
        "timestamp": lines["timestamp"],
        "value": quantity * as_numbers(lines["price"]),
        "quantity": lines["quantity"],
        "price": lines["price"],
        "order_id": lines["invoice"],
    })  # fmt: skip


def _items(lines: pd.DataFrame) -> pd.DataFrame:
    """Return each product under its commonest description."""
    counts = lines.groupby(["item_id", "title"]).size().rename("count").reset_index()
    commonest = counts.sort_values(["count", "title"], ascending=[False, True]).drop_duplicates("item_id")
    return commonest[["item_id", "title"]].sort_values("item_id", ignore_index=True)


def _users(lines: pd.DataFrame) -> pd.DataFrame:
    users = lines.drop_duplicates("user_id", keep="last")
    countries = users[["country"]] if "country" in users else pd.DataFrame(index=users.index)
    return pd.DataFrame({"user_id": users["user_id"], "traits": as_mappings(countries)}).reset_index(drop=True)
