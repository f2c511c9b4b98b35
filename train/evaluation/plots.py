"""An evaluation as pictures, small enough to travel with a bundle."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.evaluation.bootstrap import Interval
from train.evaluation.outcome import Evaluation
from train.evaluation.reliability import Reliability
from train.evaluation.summary import ENGINE, Segment

OURS, OTHERS = "tab:blue", "0.6"


def metrics_figure(found: dict[str, dict[str, Interval]], metrics: tuple[str, ...]) -> Figure:
    """Return a bar with its interval for each row, a panel for each metric."""
    figure = Figure(figsize=(7, 0.8 + 0.35 * len(found)), layout="constrained")
    for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(metrics), sharey=True)), metrics, strict=True):
        _bars(axes, {row: values[metric] for row, values in found.items()})
        axes.set_xlabel(metric)
    figure.axes[0].invert_yaxis()  # of all panels, since they share it: the first row on top
    return figure


def segments_figure(segments: list[Segment], opponent: str, k: int) -> Figure:
    """Return NDCG with its interval in each segment, the engine beside the best baseline."""
    figure, axes = _figure(7, 3.2)
    place = np.arange(len(segments))
    for shift, row, colour in ((-0.2, ENGINE, OURS), (0.2, opponent, OTHERS)):
        found = [segment.ndcg[row] for segment in segments]
        axes.bar(
            place + shift, [interval.mean for interval in found], 0.38, color=colour, label=row, yerr=_errors(found)
        )
    names = [f"{segment.name}\n{segment.n_queries:,} queries" for segment in segments]
    axes.set_xticks(place, names, fontsize=8)
    axes.set_ylabel(f"ndcg@{k}")
    axes.legend(frameon=False)
    return figure


def calibration_figure(found: Reliability) -> Figure:
    """Return how often candidates were chosen against the probability that they were given."""
    figure, axes = _figure(4, 4)
    ends = [found.predicted.min(), found.predicted.max()]
    axes.plot(ends, ends, color=OTHERS, linestyle="--", label="as said")
    axes.plot(found.predicted, found.observed, color=OURS, marker="o", markersize=4, label="measured")
    axes.set(xscale="log", yscale="log", xlabel="predicted probability", ylabel="share that was chosen")
    axes.legend(frameon=False)
    return figure


def popularity_figure(evaluation: Evaluation) -> Figure:
    """Return which share of all events, and of all places in lists, the most popular items have."""
    figure, axes = _figure(7, 3.2)
    order = np.argsort(-evaluation.popularity, kind="stable")
    place = np.arange(1, len(order) + 1) / len(order)
    shown = np.asarray(evaluation.rows[ENGINE].shown.sum(axis=0)).ravel()
    for label, counts, colour in (("events", evaluation.popularity, OTHERS), (f"{ENGINE}'s lists", shown, OURS)):
        axes.plot(place, np.cumsum(counts[order]) / max(counts.sum(), 1), color=colour, label=label)
    axes.set(xscale="log", xlabel="share of the catalogue, most popular first", ylabel="share of all", ylim=(0, 1.02))
    axes.legend(frameon=False)
    return figure


def training_figure(epochs: list[dict[str, float]], score: str) -> Figure:
    """Return the loss of each epoch and, where it was measured, the validation metric beside it."""
    figure, axes = _figure(7, 3.2)
    axes.plot([epoch["epoch"] for epoch in epochs], [epoch["loss"] for epoch in epochs], color=OTHERS)
    axes.set(xlabel="epoch", ylabel="training loss, grey")
    measured = [epoch for epoch in epochs if score in epoch]
    if measured:
        right = axes.twinx()
        right.plot([epoch["epoch"] for epoch in measured], [epoch[score] for epoch in measured], color=OURS)
        right.set_ylabel(f"{score} on validation, blue")
        right.spines[["top"]].set_visible(False)
    return figure


def as_png(figure: Figure) -> bytes:
    """Return a figure as a picture."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def _bars(axes: Axes, rows: dict[str, Interval]) -> None:
    colours = [OURS if row == ENGINE else OTHERS for row in rows]
    found = list(rows.values())
    axes.barh(list(rows), [interval.mean for interval in found], xerr=_errors(found), color=colours)
    axes.spines[["top", "right"]].set_visible(False)


def _errors(found: list[Interval]) -> np.ndarray:
    """Return how far each interval reaches below and above its mean, (2, n)."""
    reach = [(interval.mean - interval.low, interval.high - interval.mean) for interval in found]
    return np.maximum(np.array(reach).T, 0)  # a skewed resample can leave the mean outside by its last bits


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
