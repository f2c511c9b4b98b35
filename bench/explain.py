"""Explaining: whether what an explanation calls important is, by taking it away.

    python -m bench.explain [data=complete_journey bundle=<registry> shoppers=300 key=value … for fit]

For the best item of each shopper's list, rows of the history are taken away one after the other: the row that explains
most of ⟨h_u, h_i⟩ first, or in random order. So are the kinds of things that the ranker read, each in turn replaced by
that of the average candidate. The figure is the mean loss over all steps (the area over the perturbation curve, Samek
et al., 2017, equation 12), as a share of what all of it is worth: the faster it falls, the truer the order. Given with
95 % intervals of the paired difference, by shopper. `bundle=` keeps the bundle for the next run. Writes
bench/results/explain_<data>.json.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from bench.commands import split_words
from bench.prequential import fit_run
from bench.report import keep, show
from cluster.config import Config
from serve.trust.explaining import KINDS, OF_KIND, kinds_of, without_each
from train.bundle import Bundle, read_bundle
from train.data.source import prepare_data
from train.models.features import features
from train.models.prospect import Prospect
from train.models.shopper import History, history_of
from train.pipeline import fit_bundle
from train.recommender import prospects
from train.registry import Registry

Z95 = 1.959963984540054
RANDOM = 10  # random orders, of which the mean is taken


class ExplainConfig(Config):
    """What is explained."""

    data: str = Field(default="complete_journey", description="as for `fit`")
    bundle: str = Field(default="", description="registry that keeps the bundle; none when empty")
    shoppers: int = Field(default=300, ge=2, description="whose best item is explained")
    steps: int = Field(default=5, ge=1, le=20, description="rows of the history that are taken away")
    seed: int = Field(default=0, ge=0, description="of who is asked, and of random orders")


def loss(kept: Callable[[np.ndarray], np.ndarray], order: np.ndarray, steps: int) -> float:
    """Return the mean loss over `steps` steps in which what `order` names goes, one after the other.

    kept: masks (s + 1, n) of what is left, to values (s + 1,).
    """
    masks = np.ones((steps + 1, len(order)), bool)
    for step in range(steps):
        masks[step + 1 :, order[step]] = False
    value = kept(masks)
    return float((value[0] - value[1:]).mean())


def both(
    kept: Callable[[np.ndarray], np.ndarray], parts: np.ndarray, steps: int, rng: np.random.Generator
) -> list[float]:
    """Return the mean loss in the order that an explanation gives, and in random order."""
    steps = min(steps, len(parts))
    chance = [loss(kept, rng.permutation(len(parts)), steps) for _ in range(RANDOM)]
    return [loss(kept, np.argsort(-parts, kind="stable"), steps), float(np.mean(chance))]


def by_rows(bundle: Bundle, prospect: Prospect, item_idx: int, steps: int, rng: np.random.Generator) -> list[float]:
    """Return both losses of ⟨h_u, h_i⟩."""
    vector, rows = bundle.state.vectors[item_idx], len(prospect.history)
    whole, *parts = bundle.model.encode_shoppers(without_each(prospect.history)) @ vector
    newest = rows - len(parts)

    def kept(masks: np.ndarray) -> np.ndarray:
        left = [prospect.history.where(np.concatenate((np.ones(newest, bool), mask))) for mask in masks]
        return bundle.model.encode_shoppers(left) @ vector

    return both(kept, whole - np.array(parts), steps, rng)


def by_kinds(bundle: Bundle, read: np.ndarray, best: int, rng: np.random.Generator) -> list[float]:
    """Return both losses of the ranker's score."""
    baseline = read.mean(axis=0)
    parts = kinds_of(read[best], baseline, bundle.ranker)

    def kept(masks: np.ndarray) -> np.ndarray:
        return bundle.ranker.score(np.where(masks @ OF_KIND, read[best], baseline))

    return both(kept, parts, len(KINDS) - 1, rng)


def measure(bundle: Bundle, config: ExplainConfig) -> list[dict[str, Any]]:
    """Return a row for either explanation."""
    rng = np.random.default_rng(config.seed)
    lengths = np.diff(bundle.histories.offsets)
    chosen = rng.permutation(np.flatnonzero(lengths > config.steps))[: config.shoppers]
    histories: list[History] = [history_of(bundle.histories, int(user_idx)) for user_idx in chosen]
    rows, kinds = [], []
    for chunk in prospects(bundle.model, bundle.state, bundle.sources, histories, bundle.manifest.keep_seen):
        for prospect in chunk:
            read = features([prospect], bundle.state)
            best = int(bundle.ranker.score(read).argmax())
            rows.append(by_rows(bundle, prospect, int(prospect.candidates.item_idx[best]), config.steps, rng))
            kinds.append(by_kinds(bundle, read, best, rng))
    return [told("rows of the history", rows), told("kinds of features", kinds)]


def told(name: str, losses: list[list[float]]) -> dict[str, Any]:
    """Return mean losses, and their difference with its interval."""
    explained, chance = np.array(losses).T
    lead = explained - chance
    half = Z95 * lead.std(ddof=1) / np.sqrt(len(lead))
    return {
        "what goes": name, "explained first": round(explained.mean(), 4), "at random": round(chance.mean(), 4),
        "difference": round(lead.mean(), 4), "low": round(lead.mean() - half, 4), "high": round(lead.mean() + half, 4),
        "shoppers": len(lead),
    }  # fmt: skip


def main(words: list[str]) -> int:
    torch.set_num_threads(1)
    mine, passed = split_words(words, ExplainConfig)
    config = ExplainConfig.parse(mine)
    with tempfile.TemporaryDirectory(prefix="lsb-") as place:
        fit = fit_run(config.data, config.bundle, Path(place), passed)
        if not Registry(fit.registry).versions():
            fit_bundle(fit, prepare_data(fit))
        rows = measure(read_bundle(Registry(fit.registry).find("current")), config)
    show("mean loss while what explains most is taken away first, and in random order", rows)
    keep(
        f"explain_{Path(config.data).stem}",
        {"config": config.model_dump(exclude={"bundle"}), "passed": passed, "rows": rows},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
