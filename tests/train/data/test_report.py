from io import StringIO

from rich.console import Console

from train.data.report import NOTHING, as_table


def test_a_report_prints_each_step_with_what_it_removed_and_why() -> None:
    report = NOTHING.add("check events", 1500, 1497, "price is negative: 3").add("k-core", 1497, 1497, "all enough")
    console = Console(file=StringIO(), width=100)
    console.print(as_table(report, "shop"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    checked = next(line for line in lines if "check events" in line)
    assert [cell.strip() for cell in checked.split("│")[1:-1]] == [
        "check events", "1,500", "1,497", "3", "price is negative: 3",
    ]  # fmt: skip


def test_a_report_is_a_value_that_a_new_step_does_not_change() -> None:
    longer = NOTHING.add("a", 1, 1, "")
    assert (len(NOTHING.steps), longer.step("a").before) == (0, 1)
