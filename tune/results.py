"""What a sweep found: trials as values, as a table, and as a file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from cluster.storage import write_whole
from tune.config import SweepConfig

SHOWN = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One set of settings and how far it came."""

    number: int  # from 1, in the order of starting
    params: dict[str, Any]
    scores: list[float]  # validation metric after each epoch that ran
    seconds: float
    finished: bool  # to its full budget or stopped early; False: failed or interrupted

    @property
    def score(self) -> float:
        """The best metric of any epoch, or minus infinity where none ended."""
        return max(self.scores, default=float("-inf"))

    @property
    def best_epoch(self) -> int:
        """The epoch with the best metric, counted from 1; 0 where none ended."""
        return self.scores.index(self.score) + 1 if self.scores else 0


def best_first(trials: list[Trial]) -> list[Trial]:
    """Return trials by score, best first; earlier ones win ties."""
    return sorted(trials, key=lambda trial: (-trial.score, trial.number))


def is_complete(trials: list[Trial], config: SweepConfig) -> bool:
    """Return whether every trial ran and ended by itself."""
    return len(trials) == config.trials and all(trial.finished for trial in trials)


def as_table(trials: list[Trial], metric: str) -> Table:
    """Return the best trials as a table to print."""
    ran = best_first([trial for trial in trials if trial.scores])
    names = list(ran[0].params) if ran else []
    table = Table("trial", *names, metric, "epoch", "of", "s", title=f"{len(ran)} trials", title_justify="left")
    for trial in ran[:SHOWN]:
        row = [str(trial.number), *(shown(trial.params[name]) for name in names)]
        epochs = f"{len(trial.scores)}{'' if trial.finished else ' (cut)'}"
        table.add_row(*row, f"{trial.score:.4f}", str(trial.best_epoch), epochs, f"{trial.seconds:.0f}")
    return table


def write_results(path: Path, trials: list[Trial], config: SweepConfig, metric: str) -> None:
    """Write settings and trials, best first."""
    ordered = [asdict(trial) | {"score": trial.score, "best_epoch": trial.best_epoch} for trial in best_first(trials)]
    content = {"metric": metric, "settings": config.model_dump(mode="json"), "trials": ordered}
    write_whole(path, json.dumps(content, indent=1))


def read_results(path: Path) -> list[Trial]:
    """Return the trials of a finished sweep, best first."""
    rows = json.loads(path.read_text())["trials"]
    return [Trial(**{name: row[name] for name in Trial.__dataclass_fields__}) for row in rows]


def shown(value: Any) -> str:
    """Return a setting's value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
