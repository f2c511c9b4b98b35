"""The gate: what a bundle made anew from the newest events would be worth, beside the one that is served.

Both are asked for the newest orders, which neither has learned from: the new one is made as it would be, but from the
events before them alone.
"""

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from cluster.config import Config
from cluster.errors import DataError
from train.batch import in_vocabulary
from train.bundle import Bundle
from train.config import FitRun
from train.data.prepared import Prepared
from train.data.schema import Queries
from train.data.split import split_at
from train.evaluation.bootstrap import BootstrapConfig, compare
from train.evaluation.measure import all_of, measure_rows
from train.evaluation.offline import asked
from train.evaluation.summary import ENGINE
from train.evaluation.verdict import Verdict
from train.models.item_state import recounted
from train.models.neural.embedded import EmbeddedModel
from train.models.registered import model_class
from train.pipeline import Published, fit_bundle, sampled
from train.recommender import ranked

FASTER = 4  # epochs fewer than from scratch where training goes on from weights, as `bench/refresh.py` has it


class GateConfig(Config):
    """What a new bundle must show before it is served."""

    newest: float = Field(
        0.3,
        gt=0,
        lt=0.5,
        description="share of the time since the served bundle's newest event that both are asked for",
    )
    choosing: float = Field(0.3, gt=0, lt=0.5, description="share just before it, which the ranker is fitted on")
    min_queries: int = Field(100, ge=1, description="orders to ask for; with fewer nothing can be said")
    max_queries: int = Field(6_000, ge=1, description="orders asked for at most")
    max_loss: float = Field(0.05, ge=0, le=1, description="share of NDCG that may be lost where chance may explain it")
    k: int = Field(10, ge=1, le=100, description="length of the lists")
    bootstrap: BootstrapConfig = BootstrapConfig.parse([])


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Where the time since the served bundle is parted."""

    choosing_ms: int
    newest_ms: int


def refreshing(served: Bundle, start: Path, data: str, registry: str, words: list[str]) -> FitRun:
    """Return the settings of a refresh: those that the served bundle was made with, going on from it.

    start: folder of the bundle whose weights it goes on from; words: settings to change, as `fit` takes them. A model
    without weights to go on from is made anew.
    """
    config = FitRun.checked(served.manifest.config)
    goes_on = issubclass(model_class(config.model), EmbeddedModel)
    training = config.training
    if goes_on and not config.refresh.warm_start:
        training = training.model_copy(update={
            "epochs": max(1, training.epochs // FASTER),
            "pretraining": training.pretraining.model_copy(update={"epochs": 0}),
        })  # fmt: skip
    n_workers = config.workers.workers if config.workers.workers > 1 else 0  # a single one needs no process of its own
    changed = config.model_copy(update={
        "data": data, "registry": registry, "training": training, "keep_seen": served.manifest.keep_seen,
        "workers": config.workers.model_copy(update={"workers": n_workers}),
        "parent": str(start), "refit": True, "promote": False,
        "refresh": config.refresh.model_copy(update={"warm_start": goes_on, "only_new": goes_on}),
    })  # fmt: skip
    return FitRun.parse(words, changed.model_dump(mode="json"))


def moments(served: Bundle, prepared: Prepared, gate: GateConfig) -> Moments:
    """Return where to part the time since the served bundle; DataError where there is none."""
    if not prepared.has_clock:
        raise DataError("a refresh needs the times of events, which this data does not keep; use train/run.py fit")
    since, until = served.manifest.data_cutoff_ms, int(prepared.interactions.timestamp_ms.max())
    if until <= since:
        raise DataError(f"nothing happened since bundle {served.manifest.version} was made; refresh it later")
    newest_ms = until - round(gate.newest * (until - since))
    return Moments(newest_ms=newest_ms, choosing_ms=newest_ms - round(gate.choosing * (until - since)))


def judge(served: Bundle, config: FitRun, prepared: Prepared, gate: GateConfig) -> Verdict:
    """Return how a bundle that `config` makes of all but the newest events does on them, beside the served one."""
    parted = moments(served, prepared, gate)
    newest = split_at(prepared.interactions, config.holdout, parted.newest_ms).valid
    if len(newest) < gate.min_queries:
        raise DataError(
            f"only {len(newest)} of the newest orders can be asked for, and {gate.min_queries} are needed to tell; "
            "refresh later, or give min_queries=… or newest=…"
        )
    newest = sampled(newest, gate.max_queries)
    older = replace(prepared, interactions=prepared.interactions.where(_before(prepared, parted.newest_ms)))
    with tempfile.TemporaryDirectory() as place:
        trial = config.model_copy(update={"registry": place})
        new = fit_bundle(trial, older, split_at(older.interactions, config.holdout, parted.choosing_ms)).bundle
    return compared(served, new, prepared, newest, parted.newest_ms, gate)


def fit_newest(served: Bundle, config: FitRun, prepared: Prepared, gate: GateConfig) -> Published:
    """Return the bundle of all events, published; its choices are made on the newest, which it then learns from."""
    split = split_at(prepared.interactions, config.holdout, moments(served, prepared, gate).newest_ms)
    return fit_bundle(config, prepared, split)


def compared(
    served: Bundle, new: Bundle, prepared: Prepared, queries: Queries, from_ms: int, gate: GateConfig
) -> Verdict:
    """Return how two bundles do on queries of `from_ms` and later, both having counted all that came before."""
    ours, theirs = (ndcg_of(bundle, prepared, queries, from_ms, gate.k) for bundle in (new, served))
    return Verdict(
        k=gate.k, n_queries=len(queries), served=float(theirs.mean()), new=float(ours.mean()), max_loss=gate.max_loss,
        found=compare(ours, theirs, queries.user_idx, gate.bootstrap),
    )  # fmt: skip


def ndcg_of(bundle: Bundle, prepared: Prepared, queries: Queries, from_ms: int, k: int) -> np.ndarray:
    """Return a bundle's NDCG@k of each query, (q,); an item that it does not know is one that it does not find."""
    history = in_vocabulary(prepared, bundle)
    own = in_words_of(bundle, prepared, queries)
    state = recounted(bundle.state, history.where(history.timestamp_ms < from_ms), prepared.has_clock)
    ask = partial(asked, bundle.model, state, bundle.sources, history)
    rank = all_of({ENGINE: lambda _, prospects: ranked(prospects, state, bundle.ranker)})
    return measure_rows(rank, state, ask, own, bundle.manifest.keep_seen, k).rows[ENGINE].values[f"ndcg@{k}"]


def in_words_of(bundle: Bundle, prepared: Prepared, queries: Queries) -> Queries:
    """Return queries in the item_idx of a bundle, NO_ITEM for an answer that it does not know."""
    place = pd.Index(bundle.items["item_id"]).get_indexer(pd.Index(prepared.catalogue.item_ids))
    kept = np.concatenate(([0], np.cumsum(place[prepared.interactions.item_idx] >= 0)))
    begin = prepared.interactions.offsets[queries.user_idx]
    return replace(queries, cut=kept[begin + queries.cut] - kept[begin], truth=place[queries.truth])


def _before(prepared: Prepared, moment_ms: int) -> np.ndarray:
    return prepared.interactions.timestamp_ms < moment_ms
