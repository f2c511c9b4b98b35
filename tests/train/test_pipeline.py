"""From files to a published bundle: better than its baselines, honest about its queries, and able to go on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError
from tests.train.conftest import Small
from tests.train.histories import histories_of
from tests.train.small import SMALL, small_fit, write_ring
from tests.world import tiny_world, write_world
from train import session
from train.bundle import read_bundle
from train.config import EvaluateRun, FitRun
from train.data.schema import Queries
from train.data.split import SplitConfig, make_split
from train.pipeline import buys_again, chosen_and_reported, evaluate_bundle, sampled
from train.registry import Registry
from train.session import Epoch

CONFIG = FitRun.parse(["data=x", *SMALL])


def asked(queries: Queries) -> set[tuple[int, int]]:
    return set(zip(queries.user_idx.tolist(), queries.cut.tolist(), strict=True))


def test_the_engine_beats_popularity_and_is_published_as_current(small: Small) -> None:
    table = small.published.table
    assert table["liveshelf"]["ndcg@10"] > 2 * table["popularity"]["ndcg@10"]
    registry = Registry(small.folder / "registry")
    assert registry.folder(registry.current()) == small.published.folder
    assert small.published.bundle.manifest.metrics == table


def test_nothing_of_the_training_stays_once_it_is_published(small: Small) -> None:
    assert list((small.folder / "checkpoints").rglob("*.safetensors")) == []
    assert list(small.folder.rglob("*.part")) == []


@pytest.mark.parametrize(("sequences", "expected"), [([[0, 1, 2], [2, 1]], False), ([[0, 1, 0], [2, 1]], True)])
def test_whether_shoppers_buy_again_is_read_from_the_data(sequences: list[list[int]], expected: bool) -> None:
    assert buys_again(histories_of(sequences)) is expected


def test_where_shoppers_buy_again_seen_items_are_kept(small: Small, tmp_path: Path) -> None:
    data = write_ring(tmp_path / "again", n_users=30, repeat_share=0.5)
    published, _ = small_fit(data, tmp_path, "epochs=1")
    assert published.bundle.manifest.keep_seen
    assert "personal top" in published.table
    assert not small.published.bundle.manifest.keep_seen
    assert "liveshelf, seen kept" in small.published.table


@given(n_users=st.integers(2, 30), most=st.integers(1, 20), report=st.integers(1, 20))
def test_no_reported_query_was_chosen_on(n_users: int, most: int, report: int) -> None:
    split = make_split(histories_of([[0, 1, 2]] * n_users), SplitConfig.parse(["split=leave_one_out"]), has_clock=False)
    config = CONFIG.model_copy(update={"ranker_queries": most, "report_queries": report})
    choosing, reporting = chosen_and_reported(split, config)
    assert not asked(choosing) & asked(reporting)
    assert 1 <= len(choosing) <= most
    assert 1 <= len(reporting) <= report
    assert asked(choosing) | asked(reporting) <= asked(split.valid)


def test_where_there_is_a_test_window_it_is_reported() -> None:
    days = [[float(day + user % 5) for day in range(20)] for user in range(9)]
    split = make_split(histories_of([[0, 1] * 10] * 9, days), SplitConfig.parse(["split=global_time"]), has_clock=True)
    choosing, reporting = chosen_and_reported(split, CONFIG)
    assert asked(choosing) == asked(split.valid)
    assert asked(reporting) == asked(split.test)


def test_a_single_held_out_query_is_too_few() -> None:
    split = make_split(histories_of([[0, 1], [1]]), SplitConfig.parse(["split=leave_one_out"]), has_clock=False)
    with pytest.raises(DataError, match="only one query"):
        chosen_and_reported(split, CONFIG)


def test_a_sample_is_the_same_each_time_and_keeps_the_order(small: Small) -> None:
    queries = make_split(small.prepared.interactions, SplitConfig.parse(["split=leave_one_out"]), has_clock=True).valid
    one, other = sampled(queries, 10), sampled(queries, 10)
    assert asked(one) == asked(other)
    assert len(one) == 10
    place = {pair: n for n, pair in enumerate(zip(queries.user_idx.tolist(), queries.cut.tolist(), strict=True))}
    order = [place[pair] for pair in zip(one.user_idx.tolist(), one.cut.tolist(), strict=True)]
    assert order == sorted(order)
    assert sampled(queries, len(queries)) is queries


@pytest.mark.parametrize("refit", ["false", "true"])
def test_a_bundle_counts_all_rows_and_says_how_far_its_model_learned(tmp_path: Path, refit: str) -> None:
    data = write_ring(tmp_path / "ring", n_users=30)
    published, prepared = small_fit(data, tmp_path, "epochs=1", f"refit={refit}")
    manifest, rows = published.bundle.manifest, prepared.interactions
    assert published.bundle.state.n_events == len(published.bundle.histories) == len(rows)
    seen = rows if refit == "true" else make_split(rows, CONFIG.holdout, prepared.has_clock).train
    assert manifest.learned_until_ms == seen.timestamp_ms.max()
    assert (manifest.learned_until_ms == manifest.data_cutoff_ms) == (refit == "true")


def test_what_is_reported_has_counted_all_before_the_first_query_and_nothing_after(small: Small) -> None:
    rows = small.prepared.interactions
    split = make_split(rows, SplitConfig.parse(["split=global_time"]), has_clock=True)
    first_ms = rows.timestamp_ms[rows.offsets[split.test.user_idx] + split.test.cut].min()
    assert split.counted.timestamp_ms.max() < first_ms
    assert len(split.train) < len(split.counted) < len(rows)


def test_a_bundle_is_measured_alike_when_it_is_fitted_and_when_it_is_evaluated(tmp_path: Path) -> None:
    data = write_ring(tmp_path / "ring", n_users=30)
    published, _ = small_fit(data, tmp_path, "epochs=1", "split=global_time")
    words = [f"data={data}", f"registry={tmp_path / 'registry'}", f"rejects={tmp_path}", "split=global_time"]
    assert evaluate_bundle(EvaluateRun.parse(words))["liveshelf"] == published.table["liveshelf"]


def test_an_interrupted_run_goes_on_and_reports_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_ring(tmp_path / "ring", n_users=30)
    whole, _ = small_fit(data, tmp_path / "whole")
    run_epochs, trained = session.run_epochs, []

    def counted(*args: object, **options: object) -> Iterator[Epoch]:
        for epoch in run_epochs(*args, **options):  # pyright: ignore[reportArgumentType]
            trained.append(epoch.state.epoch)
            yield epoch
            if trained == [1, 2, 3]:
                raise KeyboardInterrupt

    monkeypatch.setattr(session, "run_epochs", counted)
    with pytest.raises(KeyboardInterrupt):
        small_fit(data, tmp_path / "cut")
    assert list((tmp_path / "cut" / "checkpoints").rglob("*.safetensors"))
    assert not (tmp_path / "cut" / "registry").exists()
    resumed, _ = small_fit(data, tmp_path / "cut")
    assert trained == [1, 2, 3, 4, 5, 6]
    assert resumed.table == whole.table
    assert np.array_equal(resumed.bundle.state.vectors, whole.bundle.state.vectors)


def test_a_bundle_is_measured_on_other_data(small: Small, tmp_path: Path) -> None:
    other = write_ring(tmp_path / "other", seed=1)
    config = EvaluateRun.parse([
        f"data={other}", f"registry={small.folder / 'registry'}", f"rejects={tmp_path}", "split=leave_one_out", "k=1"
    ])  # fmt: skip
    table = evaluate_bundle(config)
    assert table["sequential rules"]["recall@1"] == 1
    assert table["liveshelf"]["recall@1"] > table["popularity"]["recall@1"]


def test_a_bundle_is_measured_on_a_catalogue_with_fewer_items(small: Small, tmp_path: Path) -> None:
    events, items = (pd.read_parquet(small.data / f"{name}.parquet") for name in ("events", "items"))
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    events[events["item_id"] < "i0012"].to_parquet(fewer / "events.parquet")
    items[items["item_id"] < "i0012"].to_parquet(fewer / "items.parquet")
    config = EvaluateRun.parse([
        f"data={fewer}", f"registry={small.folder / 'registry'}", f"rejects={tmp_path}", "split=leave_one_out", "k=3"
    ])  # fmt: skip
    table = evaluate_bundle(config)
    assert table["liveshelf"]["recall@3"] > table["popularity"]["recall@3"]
    assert np.isfinite([value for metrics in table.values() for value in metrics.values()]).all()


def test_the_card_in_a_bundle_tells_its_numbers_and_makes_the_same_settings_again(small: Small) -> None:
    card, bundle = small.published.folder / "card", small.published.bundle
    text = (card / "card.md").read_text()
    assert text.startswith(f"# {bundle.manifest.version}\n")
    for metrics in small.published.table.values():
        assert f"{metrics['ndcg@10']:.4f} ± {metrics['ndcg@10±']:.4f}" in text
    assert "| leave one out |" in text
    again = FitRun.parse([f"config={card / 'settings.yaml'}"])
    assert again.model_dump(mode="json") == bundle.manifest.config
    assert sum(path.stat().st_size for path in card.iterdir()) < 400_000


def test_a_bundle_turns_scores_into_probabilities_that_fit_the_reported_queries(small: Small) -> None:
    calibration = read_bundle(small.published.folder).calibration
    if calibration is None:
        pytest.fail("the bundle holds no calibration")
    fitted = small.published.bundle.calibration
    score = np.linspace(-3, 3, 20)
    assert fitted is not None
    assert calibration.p_click(score).tolist() == fitted.p_click(score).tolist()
    table = small.published.table["liveshelf"]
    assert table["ece_purchase"] < table["base_rate_purchase"]
    assert "ece_click" not in table  # nothing is ever done in this world but to buy


def test_where_only_some_events_are_purchases_their_probability_is_told_apart(tmp_path: Path) -> None:
    world = tiny_world(n_users=120, orders_per_user=5)
    viewed = np.random.default_rng(0).random(len(world.events)) < 0.5
    events = world.events.assign(event_type=np.where(viewed, "view", "purchase"))
    published, prepared = small_fit(write_world(replace(world, events=events), tmp_path / "shop"), tmp_path)
    assert prepared.interactions.purchased is not None
    table, calibration = published.table["liveshelf"], published.bundle.calibration
    assert calibration is not None
    assert table["base_rate_purchase"] == pytest.approx(table["base_rate_click"] / 2, rel=0.5)
    click, purchase = calibration.curves["click"], calibration.curves["purchase"]
    share = np.union1d(click.log_share, purchase.log_share)  # wherever either of them bends
    assert not np.array_equal(purchase.at(share), click.at(share))


def test_a_run_is_tracked_where_it_is_asked_for(small: Small, tmp_path: Path) -> None:
    words = ["epochs=2", "tracking=tensorboard", f"runs={tmp_path / 'runs'}"]
    published, _ = small_fit(small.data, tmp_path, *words)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == published.bundle.manifest.version
    assert list(folder.glob("events.out.tfevents.*"))
