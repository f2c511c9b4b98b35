from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from cluster.errors import DataError
from train.data.load import load
from train.data.loaders.online_retail import load_online_retail
from train.data.prepare import PrepareConfig, prepare

NOW = datetime(2025, 1, 1, tzinfo=UTC)
FIRST = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
SECOND = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"]
WHEN = "12/1/2010 8:26"


def line(
    invoice: str = "536365", code: str = "85123A", title: str = "HOLDER", quantity: int = 6,
    price: float = 2.55, customer: str = "17850", when: str = WHEN,
) -> list[object]:  # fmt: skip
    return [invoice, code, title, quantity, when, price, customer, "France"]


def write(folder: Path, lines: list[list[object]], columns: list[str] = FIRST) -> Path:
    path = folder / "retail.csv"
    pd.DataFrame(lines, columns=columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("columns", [FIRST, SECOND])
def test_both_spellings_are_seen_in_a_file_without_naming_a_loader(tmp_path: Path, columns: list[str]) -> None:
    tables = load(str(write(tmp_path, [line()], columns)))
    assert tables.events.iloc[0].drop("value").to_dict() == {
        "user_id": "17850", "item_id": "85123A", "event_type": "purchase", "timestamp": WHEN,
        "quantity": 6, "price": 2.55, "order_id": "536365",
    }  # fmt: skip
    assert tables.users["traits"].tolist() == [{"country": "France"}]


def test_months_come_before_days(tmp_path: Path) -> None:
    path = write(tmp_path, [line(), line("2", when="12/31/2010 9:00")])
    rows = prepare(load(str(path)), PrepareConfig.parse([]), NOW, tmp_path).interactions
    assert pd.to_datetime(rows.timestamp_ms, unit="ms").strftime("%m-%d").tolist() == ["12-01", "12-31"]


def test_cancelled_invoices_and_negative_quantities_are_returns(tmp_path: Path) -> None:
    path = write(tmp_path, [line(), line("C5"), line("6", quantity=-1)])
    assert load_online_retail(path).events["event_type"].tolist() == ["purchase", "return", "return"]


@pytest.mark.parametrize(
    "code",
    ["POST", "DOT", "M", "m", "D", "BANK CHARGES", "ADJUST", "ADJUST2", "AMAZONFEE", "CRUK", "C2", "S", "B", "PADS",
     "TEST001", "gift_0001_20"],
)  # fmt: skip
def test_what_is_no_product_is_left_out_and_counted(tmp_path: Path, code: str) -> None:
    tables = load_online_retail(write(tmp_path, [line(), line(code=code)]))
    assert tables.events["item_id"].tolist() == tables.items["item_id"].tolist() == ["85123A"]
    assert (tables.report.step("products only").before, tables.report.step("products only").after) == (2, 1)


@pytest.mark.parametrize("price", [0, -11062.06])
def test_write_offs_are_left_out_and_counted(tmp_path: Path, price: float) -> None:
    tables = load_online_retail(write(tmp_path, [line(), line(price=price)]))
    assert len(tables.events) == 1
    assert tables.report.step("priced only").after == 1


def test_guests_are_left_out_and_counted(tmp_path: Path) -> None:
    tables = load_online_retail(write(tmp_path, [line(), line("2", customer="")]))
    assert tables.events["user_id"].tolist() == ["17850"]
    assert tables.report.step("guests").before - tables.report.step("guests").after == 1


def test_guests_can_be_kept_one_per_invoice(tmp_path: Path) -> None:
    path = write(tmp_path, [line("2", customer=""), line("2", "22", customer=""), line("3", customer="")])
    for tables in (load_online_retail(path, guests="keep"), load(f"online_retail_with_guests:{path}")):
        assert tables.events["user_id"].tolist() == ["guest-2", "guest-2", "guest-3"]


def test_spellings_of_one_product_are_one_item_under_its_commonest_title(tmp_path: Path) -> None:
    path = write(tmp_path, [line(title="HOLDER"), line(code="85123a ", title="damaged"), line(title="HOLDER ")])
    assert load_online_retail(path).items.to_dict("records") == [{"item_id": "85123A", "title": "HOLDER"}]


def test_a_customer_written_as_a_fraction_is_the_same_customer(tmp_path: Path) -> None:
    path = write(tmp_path, [line(customer="17850.0"), line(customer="17850")])
    assert load_online_retail(path).events["user_id"].tolist() == ["17850", "17850"]


def test_a_file_in_latin_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "retail.csv"
    pd.DataFrame([line(title="CAFÉ £1")], columns=FIRST).to_csv(path, index=False, encoding="latin-1")
    assert load_online_retail(path).items["title"].tolist() == ["CAFÉ £1"]


def test_all_sheets_of_a_workbook_are_read(tmp_path: Path) -> None:
    path = tmp_path / "retail.xlsx"
    with pd.ExcelWriter(path) as writer:
        for sheet, year in (("one", 2009), ("two", 2010)):
            dated = [str(year), 85048, "LIGHTS", 1, datetime(year, 12, 1), 2.5, 17850, "France"]
            pd.DataFrame([dated], columns=SECOND).to_excel(writer, sheet_name=sheet, index=False)
    rows = prepare(load(str(path)), PrepareConfig.parse([]), NOW, tmp_path)
    assert pd.to_datetime(rows.interactions.timestamp_ms, unit="ms").year.tolist() == [2009, 2010]
    assert rows.catalogue.item_ids.tolist() == ["85048"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame([line()], columns=FIRST).drop(columns="UnitPrice")
    frame.to_csv(tmp_path / "retail.csv", index=False)
    with pytest.raises(DataError, match="lacks the column price; it has InvoiceNo"):
        load(str(tmp_path / "retail.csv"))
