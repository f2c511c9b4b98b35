"""From a source of data to a published bundle, one line down."""

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from cluster.errors import DataError
from train.batch import in_vocabulary
from train.bundle import Bundle, read_bundle
from train.bundle_state import Manifest
from train.config import EvaluateRun, FitRun
from train.content import Described, describe
from train.critic import Critic, fit_critic
from train.data.orders import inside_queries
from train.data.prepared import Prepared
from train.data.report import NOTHING, Report
from train.data.schema import Interactions, Queries, Split, Wanted
from train.data.source import prepare_data
from train.data.split import make_split
from train.data.steps.catalogue import catalogue_of
from train.evaluation.calibrate import Calibrated, fit_calibration
from train.evaluation.card import CardFacts, model_card
from train.evaluation.offline import measure, ranking_examples
from train.evaluation.outcome import Evaluation
from train.evaluation.summary import Table, summarise
from train.families import fit_family
from train.models.base import VectorModel
from train.models.item_state import ItemState, fit_item_state, recounted
from train.models.ranker import Ranker, RankingExamples, fit_ranker
from train.models.registered import require_servable, served
from train.refresh import find_parent, started
from train.registry import Registry
from train.session import Metrics
from train.tracking import require_tracker, track
from train.training_set import TrainingSet
from train.traits import told_of_users
from train.validation import ValidationSet
from train.warm_start import Parent

REPEAT_SHARE = 0.05  # of rows that repeat an item of the same user; above it, shoppers of this shop buy again


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a history taught: the model, how training went, and where its checkpoints still lie."""

    model: VectorModel
    report: Report  # of the start from another bundle, if there was one
    epochs: list[Metrics]  # none where the model was solved at once
    checkpoints: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """What validation queries taught of ranking the candidates."""

    ranker: Ranker
    calibrated: Calibrated


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published bundle, where it is, and how it did."""

    bundle: Bundle
    folder: Path
    evaluation: Evaluation
    report: Report  # of the start from another bundle, if there was one

    @property
    def table(self) -> Table:
        """The metrics that the manifest holds."""
        return self.bundle.manifest.metrics


def fit_bundle(config: FitRun, prepared: Prepared, split: Split | None = None) -> Published:
    """Train, choose the fusion on validation, measure on what is left, publish; the split is made unless given.

    Training is slow and counting is fast, so what is measured has counted every row before the first query, as a live
    store would have, and what is published has counted all of them.
    """
    require_servable(config.model)
    require_tracker(config.record)
    parent = find_parent(config, prepared.has_clock)
    split = split or make_split(prepared.interactions, config.holdout, prepared.has_clock)
    split, traits = told_of_users(split, prepared.users, config.model, parent.traits if parent else None)
    critic = fit_critic(prepared.reviews, split.train, config.training.seed)
    split = _with_opinions(split, critic, prepared)
    keep_seen = buys_again(split.train) if config.keep_seen is None else config.keep_seen
    choosing, reporting = chosen_and_reported(split, config)
    described = describe(prepared, split.train, config.features, parent.features if parent else None)
    valid = _validation(split, choosing, keep_seen, config)
    chosen = _learn(prepared, split.train, split.wanted, described, valid, config, parent)
    fused = _fuse(chosen.model, prepared, split, described, choosing, keep_seen, config)
    evaluation = measure(
        chosen.model, _state(chosen.model, split.counted, prepared, described, config), config.sources, fused.ranker,
        split.history, reporting, keep_seen, config.k, prepared.catalogue, fused.calibrated.calibration,
    )  # fmt: skip
    fixed = config.model_copy(update={"model": chosen.model.config})  # what validation chose needs no choice again
    final = _learn(prepared, split.history, split.wanted, described, None, fixed, parent) if config.refit else chosen
    bundle = Bundle(
        manifest=_manifest(config, prepared, split, keep_seen, summarise(evaluation, config.report), parent),
        model=final.model, items=prepared.catalogue.frame, ranker=fused.ranker, sources=config.sources,
        state=_state(final.model, split.history, prepared, described, config),
        histories=split.history, traits=traits, features=described.features,
        critic=critic, calibration=fused.calibrated.calibration,
    )  # fmt: skip
    facts = CardFacts(
        manifest=bundle.manifest, report=Report(prepared.report.steps + split.report.steps + chosen.report.steps),
        evaluation=evaluation, calibration=fused.calibrated.reliability, epochs=chosen.epochs,
    )  # fmt: skip
    folder = Registry(config.registry).publish(bundle, config.promote, model_card(facts, config.report))
    track(config.record, bundle.manifest, chosen.epochs)
    for learned in (chosen, final):
        shutil.rmtree(learned.checkpoints, ignore_errors=True)
    return Published(bundle=bundle, folder=folder, evaluation=evaluation, report=chosen.report)


def evaluate_bundle(config: EvaluateRun) -> Table:
    """Return the table of a published bundle on other data."""
    return summarise(measure_bundle(config), config.report)


def measure_bundle(config: EvaluateRun) -> Evaluation:
    """Return how a published bundle does on the test queries (or validation queries) of other data.

    Counts come from that data, as histories do: those of the bundle may hold what is asked for.
    """
    bundle = read_bundle(Registry(config.registry).find(config.bundle))
    prepared = prepare_data(config)
    history = in_vocabulary(prepared, bundle)
    split = make_split(history, config.holdout, prepared.has_clock)
    queries = split.test if len(split.test) else split.valid
    keep_seen = bundle.manifest.keep_seen if config.keep_seen is None else config.keep_seen
    return measure(
        bundle.model, recounted(bundle.state, split.counted, prepared.has_clock), bundle.sources, bundle.ranker,
        history, sampled(queries, config.report_queries), keep_seen, config.k, catalogue_of(bundle.items),
        bundle.calibration, config.processes,
    )  # fmt: skip


def buys_again(interactions: Interactions) -> bool:
    """Return whether shoppers of this shop take the same items again."""
    n_items = int(interactions.item_idx.max(initial=0)) + 1
    distinct = len(np.unique(interactions.user_idx * n_items + interactions.item_idx))
    return 1 - distinct / max(len(interactions), 1) > REPEAT_SHARE


def sampled(queries: Queries, most: int, seed: int = 0) -> Queries:
    """Return at most `most` of the queries, chosen by `seed`, in their order."""
    if len(queries) <= most:
        return queries
    return queries.take(np.sort(np.random.default_rng(seed).choice(len(queries), most, replace=False)))


def chosen_and_reported(split: Split, config: FitRun) -> tuple[Queries, Queries]:
    """Return queries that fit the ranker and others that the metrics come from.

    Where there is a test window it is reported; otherwise validation queries are parted in two, so that no
    reported query was used for choosing.
    """
    if len(split.test):
        return sampled(split.valid, config.ranker_queries), sampled(split.test, config.report_queries)
    if len(split.valid) < 2:
        raise DataError("only one query is held out, but choosing and reporting need one each; give more history")
    order = np.random.default_rng(config.training.seed).permutation(len(split.valid))
    n_choosing = min(config.ranker_queries, len(order) // 2)
    choosing = split.valid.take(np.sort(order[:n_choosing]))
    return choosing, split.valid.take(np.sort(order[n_choosing : n_choosing + config.report_queries]))


def _with_opinions(split: Split, critic: Critic, prepared: Prepared) -> Split:
    """Return the split whose rows tell what their shoppers said; its queries stay what they are."""
    told = {name: critic.told(getattr(split, name), prepared.reviews) for name in ("history", "train", "counted")}
    return replace(split, **told)


def _validation(split: Split, choosing: Queries, keep_seen: bool, config: FitRun) -> ValidationSet | None:
    """Return what the best epoch is chosen on: a sample of the queries that choose, never of those reported."""
    training = config.training
    return ValidationSet.sample(replace(split, valid=choosing), training.valid_queries, not keep_seen, training.seed)


def _learn(
    prepared: Prepared, rows: Interactions, wanted: Wanted, described: Described, valid: ValidationSet | None,
    config: FitRun, parent: Parent | None,
) -> Learned:  # fmt: skip
    """Fit the model on some rows, aiming at what is wanted of them."""
    data = TrainingSet.of(prepared.catalogue, rows, valid, described.content, wanted)
    report = NOTHING
    if parent is not None:
        data, report = started(data, parent, prepared.catalogue, config)
    fitted = fit_family(config.model, config.training, data, Path(config.checkpoints), config.workers)
    return Learned(model=served(fitted.model), report=report, epochs=fitted.history, checkpoints=fitted.folder)


def _fuse(
    model: VectorModel, prepared: Prepared, split: Split, described: Described, choosing: Queries, keep_seen: bool,
    config: FitRun,
) -> Fused:  # fmt: skip
    """Fit the ranker and its calibration; the counts and examples that this takes are gone before others are made."""
    state = _state(model, split.train, prepared, described, config)
    examples = ranking_examples(model, state, config.sources, split.history, choosing, keep_seen)
    learned_from = _with_open_orders(examples, model, state, split, choosing, keep_seen, config)
    ranker = fit_ranker(learned_from, config.ranker)
    return Fused(ranker=ranker, calibrated=fit_calibration(ranker, examples, config.training.seed))


def _state(
    model: VectorModel, rows: Interactions, prepared: Prepared, described: Described, config: FitRun
) -> ItemState:  # fmt: skip
    """Return the model's item vectors beside the counts of some rows."""
    with torch.inference_mode():
        vectors = model.item_vectors().numpy().copy()
    return fit_item_state(vectors, rows, prepared.has_clock, config.item_state, described.words, described.facets)


def _with_open_orders(
    examples: RankingExamples, model: VectorModel, state: ItemState, split: Split, choosing: Queries, keep_seen: bool,
    config: FitRun,
) -> RankingExamples:  # fmt: skip
    """Return the examples and, where orders have several rows, questions in the middle of the same orders."""
    inside = inside_queries(split.history, choosing, config.ranker.seed)
    if not config.ranker.open_orders or not len(inside):
        return examples
    return examples.beside(ranking_examples(model, state, config.sources, split.history, inside, keep_seen))


def _manifest(
    config: FitRun, prepared: Prepared, split: Split, keep_seen: bool, table: Table, parent: Parent | None
) -> Manifest:  # fmt: skip
    learned = split.history if config.refit else split.train
    created = datetime.now(UTC)
    name = config.name or prepared.name
    return Manifest(
        name=name, version=f"{name}-{created:%Y%m%dT%H%M%S%f}", created=created,
        parent=parent.version if parent else config.parent,
        data_cutoff_ms=int(prepared.interactions.timestamp_ms.max()),
        learned_until_ms=int(learned.timestamp_ms.max(initial=0)), keep_seen=keep_seen,
        code_version=version("liveshelf"), config=config.model_dump(mode="json"), metrics=table,
    )  # fmt: skip
