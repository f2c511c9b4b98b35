"""What happened to the rows on the way from files to training, as values and as a table."""

from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Step:
    """One named step: how many rows went in, how many came out, and why."""

    name: str
    before: int
    after: int
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """Steps in the order in which they were taken."""

    steps: tuple[Step, ...] = ()

    def add(self, name: str, before: int, after: int, why: str) -> "Report":
        """Return the report with one more step."""
        return Report((*self.steps, Step(name, before, after, why)))

    def step(self, name: str) -> Step:
        """Return the step of that name."""
        return next(step for step in self.steps if step.name == name)


NOTHING = Report()


def as_table(report: Report, title: str) -> Table:
    """Return the report as a table to print."""
    table = Table("step", title=title, title_justify="left")
    for heading in ("before", "after", "removed"):
        table.add_column(heading, justify="right")
    table.add_column("why", overflow="fold")
    for step in report.steps:
        table.add_row(step.name, *_counts(step), step.why)
    return table


def _counts(step: Step) -> tuple[str, str, str]:
    removed = step.before - step.after
    return f"{step.before:,}", f"{step.after:,}", f"{removed:,}" if removed else ""
