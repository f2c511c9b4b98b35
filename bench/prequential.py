"""What learning from each event is worth: a log goes through the code that serves, asked first and learned from after.

    python -m bench.prequential data=<folder or loader> [fit_share=0.7 stream_share=0.2 key=value … for fit]
    python -m bench.prequential history=<events> stream=<events> [key=value … for fit]

The bundle is fitted on the oldest part. What lies between it and the stream moves the live state and chooses weights of
blends; nothing of the stream chooses anything. Every question is asked before its event or order is learned.
`bundle=<folder>` keeps the fitted bundle for the next run. Writes bench/results/prequential_<data>.json.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import Field

from bench.commands import ROOT, split_words
from bench.online.engine import LiveEngine
from bench.online.report import Asked, as_facts, print_facts
from bench.online.rows import Answers
from bench.online.rules import LiveRules
from bench.online.stream import Log, Question, log_of, log_of_two
from bench.report import keep
from cluster.config import Config
from cluster.errors import ConfigError
from serve.state.live import LearnerConfig
from train.bundle import Bundle, read_bundle
from train.config import FitRun
from train.data.source import prepare_data
from train.pipeline import fit_bundle
from train.progress import OwnBar
from train.registry import Registry

KINDS = ("event", "order")
SETTINGS = (f"config={ROOT / 'train/configs/complete_journey.yaml'}", "archived=false", "refit=true", "workers=0")


class PrequentialConfig(Config):
    """What is fitted on, what is streamed, and how much of it is asked about."""

    data: str = Field(default="", description="as for `fit`; cut by time")
    history: str = Field(default="", description="as `data`, with `stream`: what happened before it")
    stream: str = Field(default="", description="as `data`: the events to ask about")
    fit_share: float = Field(default=0.7, gt=0, lt=1, description="oldest rows of `data`, fitted on")
    stream_share: float = Field(default=0.2, gt=0, lt=1, description="newest rows of `data`, asked about")
    between_share: float = Field(default=0.125, gt=0, lt=0.9, description="rows of `history` that are not fitted on")
    queries: int = Field(default=2_000, ge=1, description="events of the stream, and orders, that are asked about")
    choosing: int = Field(default=300, ge=1, description="events before the stream, and orders, that choose weights")
    bundle: str = Field(default="", description="registry that keeps the fitted bundle; none when empty")
    k: int = Field(default=10, ge=1, le=100, description="length of the list")
    learner: LearnerConfig = LearnerConfig.parse([])


def log_named(config: PrequentialConfig, fit: FitRun) -> Log:
    """Return the log that the settings name."""
    if bool(config.data) == bool(config.history and config.stream):
        raise ConfigError("give data=<folder or loader>, or both history=<events> and stream=<events>")
    if config.data:
        return log_of(prepare_data(fit), config.fit_share, config.stream_share)
    return log_of_two(config.history, config.stream, config.between_share, fit.rejects)


def fit_run(data: str, registry: str, place: Path, passed: list[str]) -> FitRun:
    """Return the settings of the bench's own fit, into a registry that is kept or, when empty, one below `place`."""
    return FitRun.parse([
        f"data={data}", *SETTINGS, f"registry={registry or place / 'registry'}",
        f"checkpoints={place / 'checkpoints'}", *passed,
    ])  # fmt: skip


def bundle_of(log: Log, fit: FitRun) -> Bundle:
    """Return the bundle fitted on the log's oldest part, a kept one where there is one."""
    registry = Registry(fit.registry)
    folder = registry.find("current") if registry.versions() else fit_bundle(fit, log.fitted).folder
    bundle = read_bundle(folder)
    known, wanted = bundle.items["item_id"].to_numpy(), log.fitted.catalogue.item_ids
    if not np.array_equal(known, wanted) or len(bundle.histories) != log.begin:
        raise ConfigError(f"bundle={fit.registry} was fitted on other rows or items; give an empty folder")
    return bundle


def asked(log: Log, begin: int, end: int, most: int) -> list[tuple[str, Question]]:
    """Return `most` questions of each kind between two places, by place."""
    both = [("event", one) for one in log.events(begin, end, most)]
    both += [("order", one) for one in log.orders(begin, end, most)]
    return sorted(both, key=lambda pair: pair[1].place)


def measure(log: Log, engine: LiveEngine, config: PrequentialConfig) -> dict[str, Asked]:
    """Return how every row did on questions about events and about orders."""
    rules = LiveRules(log)
    answers = {kind: Answers(engine, rules) for kind in KINDS}
    choosing = asked(log, (log.begin + log.start) // 2, log.start, config.choosing)
    shares: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for kind, question in learned_until(choosing, engine, rules):
        shares[kind].append(answers[kind].shares(question))
    found: dict[str, Asked] = {}
    for kind in KINDS:
        of_kind = [question for its, question in choosing if its == kind]
        found[kind] = Asked(weights=answers[kind].choose(shares.pop(kind), of_kind, config.k))
    for kind, question in learned_until(asked(log, log.start, len(log), config.queries), engine, rules):
        found[kind].add(question, answers[kind].lists(question))
    return found


def learned_until(
    questions: list[tuple[str, Question]], engine: LiveEngine, rules: LiveRules
) -> Iterator[tuple[str, Question]]:
    """Yield each question when everything before it has been learned, and nothing else."""
    for kind, question in OwnBar(questions, desc="questions", unit="q"):
        engine.learn_until(question.place)
        rules.learn_until(question.place)
        yield kind, question


def main(words: list[str]) -> int:
    mine, passed = split_words(words, PrequentialConfig)
    config = PrequentialConfig.parse(mine)
    with tempfile.TemporaryDirectory() as place:
        fit = fit_run(config.data or config.history, config.bundle, Path(place), passed)
        log = log_named(config, fit)
        engine = LiveEngine(bundle_of(log, fit), log, Path(place) / "log", config.learner)
        found = measure(log, engine, config)
        engine.close()
    facts = {
        "rows": {"fitted": log.begin, "between": log.start - log.begin, "stream": len(log) - log.start},
        "strangers": stranger_share(log), "learner": config.learner.model_dump(), "passed": passed,
        **{kind: as_facts(found[kind], config.k) for kind in KINDS}, "cost": engine.cost(),
    }  # fmt: skip
    print_facts(facts)
    keep(f"prequential_{Path(config.data or config.stream).stem}", facts)
    return 0


def stranger_share(log: Log) -> float:
    """Return the share of the stream's rows whose shoppers were never fitted on."""
    known = np.diff(log.fitted.interactions.offsets) > 0
    return float(1 - known[log.rows.user_idx[log.row_at[log.start :]]].mean())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
