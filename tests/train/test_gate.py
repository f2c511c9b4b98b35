"""A refresh: the new bundle is held against the served one on what neither learned from, then learns from it, too."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import DataError
from tests.train.small import small_fit
from tests.world import tiny_world, write_world
from train.bundle import Bundle
from train.config import FitRun
from train.data.prepared import Prepared
from train.data.schema import NO_ITEM, Tables
from train.data.source import DataConfig, prepare_data
from train.data.split import split_at
from train.evaluation.bootstrap import Comparison, Interval
from train.evaluation.verdict import Verdict
from train.gate import GateConfig, compared, fit_newest, in_words_of, judge, moments, ndcg_of, refreshing
from train.pipeline import fit_bundle

GATE = GateConfig.parse(["min_queries=20", "newest=0.4"])


@dataclass(frozen=True)
class Lived:
    """A shop some days after its bundle was made."""

    served: Bundle
    start: Path
    now: Prepared
    config: FitRun


def days(tables: Tables, first: int, last: int) -> Tables:
    day = (tables.events["timestamp"] - pd.Timestamp("2024-01-01", tz="UTC")).dt.days
    return replace(tables, events=tables.events[(day >= first) & (day < last)])


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder, world = tmp_path_factory.mktemp("gate"), tiny_world(n_users=80, n_items=48, orders_per_user=9)
    published, _ = small_fit(write_world(days(world, 0, 5), folder / "old"), folder)
    data = write_world(world, folder / "now")
    now = prepare_data(DataConfig.parse([f"data={data}", f"rejects={folder}"]))
    config = refreshing(published.bundle, published.folder, str(data), str(folder / "registry"), [])
    return Lived(published.bundle, published.folder, now, config)


def test_a_refresh_has_the_settings_of_the_served_bundle_and_goes_on_from_it(lived: Lived) -> None:
    assert lived.config.training.epochs == 1
    assert (lived.config.refresh.warm_start, lived.config.refresh.only_new, lived.config.refit) == (True, True, True)
    assert lived.config.model == FitRun.checked(lived.served.manifest.config).model
    again = lived.served.manifest.model_copy(update={"config": lived.config.model_dump(mode="json")})
    words = ["k=3"]
    config = refreshing(replace(lived.served, manifest=again), lived.start, "shop", "registry", words)
    assert (config.training.epochs, config.data, config.k) == (1, "shop", 3)  # fewer epochs once, not again and again


def test_a_sound_refresh_is_good_enough_and_learns_from_everything(lived: Lived) -> None:
    verdict = judge(lived.served, lived.config, lived.now, GATE)
    assert verdict.n_queries >= GATE.min_queries
    assert verdict.served > 0
    assert verdict.is_good, verdict.sentence()
    published = fit_newest(lived.served, lived.config, lived.now, GATE)
    manifest, newest_ms = published.bundle.manifest, int(lived.now.interactions.timestamp_ms.max())
    assert (manifest.data_cutoff_ms, manifest.learned_until_ms) == (newest_ms, newest_ms)
    assert manifest.parent == lived.served.manifest.version


def test_a_bundle_of_shuffled_events_is_refused(lived: Lived, tmp_path: Path) -> None:
    rows = lived.now.interactions
    shuffled = replace(rows, item_idx=np.random.default_rng(0).permutation(rows.item_idx))
    config = lived.config.model_copy(update={"registry": str(tmp_path)})
    at = moments(lived.served, lived.now, GATE)
    split = split_at(shuffled, config.holdout, at.newest_ms)
    bad = fit_bundle(config, replace(lived.now, interactions=shuffled), split)
    newest = split_at(rows, config.holdout, at.newest_ms).valid
    verdict = compared(lived.served, bad.bundle, lived.now, newest, at.newest_ms, GATE)
    assert not verdict.is_good
    assert "refused" in verdict.sentence()
    assert compared(lived.served, lived.served, lived.now, newest, at.newest_ms, GATE).found.difference.mean == 0


def test_an_item_that_a_bundle_does_not_know_is_one_that_it_does_not_find(lived: Lived) -> None:
    at = moments(lived.served, lived.now, GATE)
    queries = split_at(lived.now.interactions, lived.config.holdout, at.newest_ms).valid
    known = lived.served.items["item_id"].to_numpy()
    fewer = replace(lived.now, catalogue=renamed(lived.now, known[:6]))
    own = in_words_of(lived.served, fewer, queries)
    unknown = own.truth == NO_ITEM
    assert unknown.any()
    np.testing.assert_array_equal(unknown, np.isin(queries.truth, np.flatnonzero(np.isin(known, known[:6]))))
    assert not ndcg_of(lived.served, fewer, queries, at.newest_ms, 10)[unknown].any()
    assert ndcg_of(lived.served, fewer, queries, at.newest_ms, 10)[~unknown].any()


def renamed(prepared: Prepared, gone: np.ndarray):  # noqa: ANN201
    frame = prepared.catalogue.frame
    item_ids = frame["item_id"].where(~frame["item_id"].isin(gone), "new " + frame["item_id"])
    return replace(prepared.catalogue, frame=frame.assign(item_id=item_ids))


def test_what_cannot_be_judged_is_said_so(lived: Lived) -> None:
    with pytest.raises(DataError, match="min_queries"):
        judge(lived.served, lived.config, lived.now, GateConfig.parse(["min_queries=10000"]))
    late = lived.served.manifest.model_copy(
        update={"data_cutoff_ms": int(lived.now.interactions.timestamp_ms.max())}
    )  # fmt: skip
    with pytest.raises(DataError, match="nothing happened since"):
        judge(replace(lived.served, manifest=late), lived.config, lived.now, GATE)


@pytest.mark.parametrize(
    ("new", "low", "high", "is_good"),
    [(0.21, 0.005, 0.015, True), (0.199, -0.01, 0.008, True), (0.18, -0.03, -0.01, False), (0.18, -0.05, 0.01, False)],
)
def test_a_verdict_asks_for_the_interval_and_for_the_mean(new: float, low: float, high: float, is_good: bool) -> None:
    found = Comparison(Interval(new - 0.2, low, high), p=0.5)
    assert Verdict(k=10, n_queries=9, served=0.2, new=new, found=found, max_loss=0.05).is_good == is_good
