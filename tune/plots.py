"""A sweep as pictures: how the best score grew, and which settings led where."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster.storage import whole_file
from tune.results import Trial, shown
from tune.spaces import Choice, Range, Space

COLOURS = matplotlib.colormaps["viridis"]
TICKS = 5


def history_figure(trials: list[Trial], metric: str) -> Figure:
    """Return each trial's score in the order of starting, and the best so far."""
    figure, axes = _figure(7, 4)
    ran = sorted((trial for trial in trials if trial.scores), key=lambda trial: trial.number)
    numbers, scores = [trial.number for trial in ran], [trial.score for trial in ran]
    axes.scatter(numbers, scores, s=18, color="tab:gray", label="trial")
    axes.step(numbers, np.maximum.accumulate(scores), where="post", color="tab:blue", label="best so far")
    axes.set(xlabel="trial", ylabel=metric)
    axes.legend(frameon=False)
    return figure


def parallel_figure(trials: list[Trial], space: Space, metric: str) -> Figure:
    """Return one line per trial across an axis per setting, coloured by score (Inselberg, 1985)."""
    ran = sorted((trial for trial in trials if trial.scores), key=lambda trial: trial.score)
    figure, axes = _figure(2 + 1.7 * len(space), 4)
    low, high = ran[0].score, ran[-1].score
    relative = [(trial.score - low) / ((high - low) or 1) for trial in ran]
    for trial, share in zip(ran, relative, strict=True):
        heights = [_height(part, trial.params[name]) for name, part in space.items()]
        axes.plot([*heights, share], color=COLOURS(share), alpha=0.4 + 0.6 * share, linewidth=1 + share)
    for place, part in enumerate(space.values()):
        _mark(axes, place, _labels(part))
    _mark(axes, len(space), [(share, f"{low + share * (high - low):.4f}") for share in np.linspace(0, 1, TICKS)])
    axes.set_xticks(range(len(space) + 1), [*space, metric])
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return the path."""
    with whole_file(path) as aside:
        figure.savefig(aside, format="png", dpi=150)
    return path


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _height(part: Range | Choice, value: Any) -> float:
    """Return where a value lies on its axis, 0..1."""
    if isinstance(part, Choice):
        return part.choice.index(value) / (len(part.choice) - 1)
    low, high, value = (np.log(number) if part.log else number for number in (part.low, part.high, value))
    return float((value - low) / (high - low))


def _labels(part: Range | Choice) -> list[tuple[float, str]]:
    if isinstance(part, Choice):
        return [(_height(part, value), shown(value)) for value in part.choice]
    between = np.geomspace if part.log else np.linspace
    return [(_height(part, value), shown(float(value))) for value in between(part.low, part.high, TICKS)]


def _mark(axes: Axes, place: int, labels: list[tuple[float, str]]) -> None:
    axes.axvline(place, color="0.6", linewidth=0.8, zorder=0)
    for height, text in labels:
        axes.annotate(text, (place, height), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center")
