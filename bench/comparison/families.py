"""One row for each family of models: its settings, as found by a sweep where there was one, and what is still open."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field

from cluster.config import Config, read_yaml
from cluster.errors import ConfigError
from train.config import FitRun
from train.encoders.items import ContentConfig
from train.loop import FitConfig
from train.models.closed_form.base import ClosedModel
from train.models.registered import FAMILIES, ModelSetting, model_class

ALL, NONE = "all", "none"
DRAWN = ("factorization", "content")  # solved at once, yet from a random start
ROWS_PER_EPOCH = 2_000_000  # of larger data, each epoch reads a sample


class Grid(Config):
    """Settings of a family that is solved at once, of which validation chooses; each setting with its values."""

    fit: dict[str, list[Any]] = Field(default={}, description="settings that cost a fit each")
    read: dict[str, list[Any]] = Field(default={}, description="settings that matter only when a history is read")


class FamilyRow(Config):
    """How a family is fitted."""

    name: str = Field(description="what the row is called")
    model: ModelSetting
    training: FitConfig
    features: ContentConfig
    grid: Grid = Grid()

    @property
    def has_epochs(self) -> bool:
        """Whether the family is trained, not solved at once."""
        return not issubclass(model_class(self.model), ClosedModel)

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another model."""
        return self.has_epochs or self.model.kind in DRAWN

    def seeded(self, seed: int) -> "FamilyRow":
        """Return the row with another seed."""
        return self.model_copy(update={"training": self.training.model_copy(update={"seed": seed})})


def family_rows(asked: str, settings: str, grids: str, given: dict[str, Any]) -> list[FamilyRow]:
    """Return a row for each family asked for: `all`, `none`, or names with commas between them.

    settings: a folder; each of its files that names a `fit.model.kind` is a row, and each family without one is a row
    with its defaults. grids: a file with a grid per row. given: groups of settings that go above both.
    """
    runs = {kind: {"model": {"kind": kind}} for kind in FAMILIES} | runs_in(settings)
    grid_of = read_yaml(Path(grids))
    rows = []
    for name in names_among(asked, list(runs)):
        base = {"data": "", "training": {"max_rows_per_epoch": ROWS_PER_EPOCH}}
        run = FitRun.checked(merged(merged(base, runs[name]), given))
        grid = Grid.checked(grid_of.get(name, {}))
        rows.append(FamilyRow(name=name, model=run.model, training=run.training, features=run.features, grid=grid))
    return rows


def runs_in(folder: str) -> dict[str, dict[str, Any]]:
    """Return the `fit` settings of each sweep in a folder that is about one family, by the file's name."""
    if folder == NONE:
        return {}
    files = sorted(Path(folder).glob("*.yaml"))
    if not files:
        raise ConfigError(f"settings={folder} is no folder with .yaml files; name one, or settings=none")
    runs = {path.stem: read_yaml(path).get("fit", {}) for path in files}
    return {name: run for name, run in runs.items() if "kind" in run.get("model", {})}


def names_among(asked: str, known: list[str]) -> list[str]:
    """Return the names that `all`, `none` or a list with commas stands for, or say which one is unknown."""
    if asked in (ALL, NONE):
        return known if asked == ALL else []
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"no row is called {name!r}; {hint}")
    return names


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings with those of `above` in place of those of `below`."""
    both = {name: merged(below[name], value) for name, value in above.items() if _are_groups(below.get(name), value)}
    return below | above | both


def _are_groups(below: Any, above: Any) -> bool:
    return isinstance(below, dict) and isinstance(above, dict)
