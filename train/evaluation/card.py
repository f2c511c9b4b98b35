"""The model card of a bundle (Mitchell et al., 2019): what it is for, what it learned from, how good it is."""

from dataclasses import dataclass

import yaml

from train.bundle_state import Manifest
from train.data.report import Report
from train.data.schema import Goal
from train.evaluation.outcome import Evaluation
from train.evaluation.printed import duel_lines
from train.evaluation.reliability import Reliability
from train.evaluation.summary import (
    ENGINE,
    HALF_WIDTH,
    Duel,
    ReportConfig,
    Segment,
    by_segment,
    duel,
    headline,
    row_intervals,
)

CARD, SETTINGS = "card.md", "settings.yaml"
VALIDATION = "ndcg@10"  # what training measures after each epoch

REACHED: dict[Goal, str] = {"click": "are chosen", "purchase": "are bought"}

USE = """\
For ranking the items of this catalogue for the shoppers of this shop, live or in batch. Not for other catalogues, not
for setting prices, and not for judging people."""

LIMITS = """\
- Measured offline, on what shoppers chose while they saw other lists. What a list changes, only an experiment tells.
- It learns from behaviour, and so repeats its habits: compare `popularity` and `gini` with the rows below it, and the
  segments with one another, before trusting an average.
- Shoppers without a history get what is popular of late.
- Probabilities are those of the validation period. Calibrate again when the assortment or the season has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """All that a card tells."""

    manifest: Manifest
    report: Report  # of preparing and splitting the data
    evaluation: Evaluation
    calibration: dict[Goal, Reliability]  # on the queries that were held back when the probabilities were fitted
    epochs: list[dict[str, float]]  # none where a model is solved at once


def model_card(facts: CardFacts, config: ReportConfig) -> dict[str, bytes]:
    """Return the files of a card: text, pictures and the settings that make the same bundle again."""
    from train.evaluation.plots import (  # late: matplotlib takes half a second that measuring a bundle need not wait
        as_png,
        calibration_figure,
        metrics_figure,
        popularity_figure,
        segments_figure,
        training_figure,
    )

    evaluation, k = facts.evaluation, facts.evaluation.k
    segments, versus = by_segment(evaluation, config), duel(evaluation, config)
    figures = {
        "metrics.png": metrics_figure(row_intervals(evaluation, config), headline(k)),
        "segments.png": segments_figure(segments, versus.opponent, k),
        **{f"calibration_{goal}.png": calibration_figure(found) for goal, found in facts.calibration.items()},
        "popularity.png": popularity_figure(evaluation),
    }
    if facts.epochs:
        figures["training.png"] = training_figure(facts.epochs, VALIDATION)
    settings = yaml.safe_dump(facts.manifest.config, sort_keys=False, allow_unicode=True)
    return {
        CARD: _text(facts, segments, versus, settings).encode(),
        SETTINGS: settings.encode(),
        **{name: as_png(figure) for name, figure in figures.items()},
    }


def _text(facts: CardFacts, segments: list[Segment], versus: Duel, settings: str) -> str:
    manifest = facts.manifest
    sections = {
        "Intended use": USE,
        "How good it is": _quality(facts, versus),
        "For whom, and for which items": _by_segment(segments, versus, facts.evaluation.k),
        "Probabilities": _probabilities(facts.calibration),
        "Limits": LIMITS,
        "Data": _data(facts),
        "Training": "![loss and validation metric by epoch](training.png)" if facts.epochs else "Solved at once.",
        "Settings": f"```yaml\n{settings}```",
        "The same again": f"```bash\npython train/run.py fit config={SETTINGS}\n```",
    }
    head = f"# {manifest.version}\n\nTrained on {manifest.name} by liveshelf {manifest.code_version}, "
    head += f"{manifest.created:%Y-%m-%d}" + (f", after {manifest.parent}" if manifest.parent else "") + "."
    return "\n\n".join([head, *(f"## {title}\n\n{body}" for title, body in sections.items())]) + "\n"


def _quality(facts: CardFacts, versus: Duel) -> str:
    table, queries = facts.manifest.metrics, facts.evaluation.queries
    names = [name for name in dict.fromkeys(name for row in table.values() for name in row) if "@" in name]
    names = [name for name in names if not name.endswith(HALF_WIDTH)]
    rows = [[row, *(_cell(metrics, name) for name in names)] for row, metrics in table.items()]
    seen = "may" if facts.manifest.keep_seen else "may not"
    asked = f"{len(queries):,} held-out queries; items that a shopper had before {seen} be shown again."
    duels = "\n".join(f"- {line}" for line in duel_lines(versus))
    picture = "![metrics with intervals](metrics.png)"
    return "\n\n".join([asked, _markdown(["", *names], rows), "Intervals are drawn by user.", duels, picture])


def _by_segment(segments: list[Segment], versus: Duel, k: int) -> str:
    rows = [
        [
            segment.name,
            f"{segment.n_queries:,}",
            *(f"{segment.ndcg[row].mean:.4f}" for row in (ENGINE, versus.opponent)),
        ]
        for segment in segments
    ]
    table = _markdown(["", "queries", f"{ENGINE}, ndcg@{k}", versus.opponent], rows)
    pictures = "![NDCG by segment](segments.png)\n\n![popularity of what is shown](popularity.png)"
    return f"{table}\n\n{pictures}"


def _probabilities(calibration: dict[Goal, Reliability]) -> str:
    return "\n\n".join(_probability(goal, found) for goal, found in calibration.items())


def _probability(goal: Goal, found: Reliability) -> str:
    said = f"p({goal}): of all candidates, {found.base_rate:.5f} {REACHED[goal]} in the next order; the expected "
    said += f"calibration error is {found.ece:.5f}."
    return f"{said}\n\n![predicted against measured](calibration_{goal}.png)"


def _data(facts: CardFacts) -> str:
    steps = [[step.name, f"{step.before:,}", f"{step.after:,}", step.why] for step in facts.report.steps]
    return _markdown(["step", "before", "after", "why"], steps)


def _cell(metrics: dict[str, float], name: str) -> str:
    if name not in metrics:
        return ""
    half_width = metrics.get(name + HALF_WIDTH)
    return f"{metrics[name]:.4f}" + (f" {HALF_WIDTH} {half_width:.4f}" if half_width is not None else "")


def _markdown(names: list[str], rows: list[list[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
