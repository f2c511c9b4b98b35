"""A fit that goes on from an earlier bundle: what it begins with, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ConfigError, DataError
from tests.train.conftest import Small
from tests.train.small import SMALL, small_fit, write_ring
from tests.world import tiny_world, write_world
from train.bundle import Bundle
from train.config import FitRun
from train.data.schema import Catalogue, Interactions, Tables
from train.data.steps.catalogue import catalogue_of
from train.models.neural.embedded import EmbeddedModel
from train.refresh import started
from train.session import fingerprint, first_model
from train.training_set import TrainingSet
from train.warm_start import Parent, aligned, read_parent

RING = 6
CONFIG = FitRun.parse(["data=x", *SMALL, "warm_start=true"])


def parent_of(small: Small) -> Parent:
    return read_parent(small.published.folder, CONFIG.model, CONFIG.features)


def shuffled(bundle: Bundle, keep: np.ndarray, extra: int = 0) -> tuple[Catalogue, Interactions]:
    """Return a catalogue of the items at `keep`, in that order, and of a few new ones, with the rows of those kept."""
    frame = bundle.items.iloc[keep].reset_index(drop=True)
    born = frame.iloc[:extra].assign(item_id=[f"new{number}" for number in range(extra)])
    catalogue = catalogue_of(pd.concat([frame, born], ignore_index=True))
    place = np.full(len(bundle.items), -1)
    place[keep] = np.arange(len(keep))
    rows = bundle.histories.where(place[bundle.histories.item_idx] >= 0)
    return catalogue, replace(rows, item_idx=place[rows.item_idx])


def begun(small: Small, catalogue: Catalogue, rows: Interactions, config: FitRun = CONFIG) -> TrainingSet:
    return started(TrainingSet.of(catalogue, rows, None), parent_of(small), catalogue, config)[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_before_training_a_permuted_catalogue_gets_the_same_answers(small: Small, seed: int) -> None:
    bundle = small.published.bundle
    order = np.random.default_rng(seed).permutation(len(bundle.items))
    catalogue, rows = shuffled(bundle, order)
    model = first_model(CONFIG.model, CONFIG.training, begun(small, catalogue, rows)).eval()
    old_histories = [np.array([0, 1, 2]), np.array([7]), np.array([], dtype=np.int64)]
    scores = model.scores([np.argsort(order)[history] for history in old_histories])
    np.testing.assert_allclose(scores, bundle.model.scores(old_histories)[:, order], rtol=1e-4, atol=1e-5)


def test_a_catalogue_that_grew_and_shrank_keeps_what_is_known(small: Small) -> None:
    bundle = small.published.bundle
    keep = np.arange(3, len(bundle.items))
    catalogue, rows = shuffled(bundle, keep, extra=2)
    data, report = started(TrainingSet.of(catalogue, rows, None), parent_of(small), catalogue, CONFIG)
    model, old = first_model(CONFIG.model, CONFIG.training, data), bundle.model
    assert isinstance(old, EmbeddedModel)
    assert torch.equal(model.items.embedding.weight[:-2], old.items.embedding.weight[keep])
    assert report.steps[0].why == "2 new items, 3 gone; 100.0% of the parameters are trained"
    names = catalogue_of(bundle.items).attribute_names
    for row, name in enumerate(catalogue.attribute_names):
        known = old.items.attribute_embedding.weight[names.index(name)] if name in names else torch.zeros(16)
        assert torch.equal(model.items.attribute_embedding.weight[row], known)


@given(seed=st.integers(0, 99), n_new=st.integers(0, 5))
def test_new_rows_are_mapped_as_the_known_ones_are(seed: int, n_new: int) -> None:
    rng = np.random.default_rng(seed)
    turn, own = rng.normal(size=(4, 6)), rng.normal(size=(40 + n_new, 4))
    items = np.append(rng.permutation(40), np.full(n_new, -1))
    old = np.empty((40, 6))
    old[items[:40]] = own[:40] @ turn
    np.testing.assert_allclose(aligned(own, old, items), own @ turn, rtol=0.05, atol=0.05)


def test_a_new_item_stands_where_its_company_does(small: Small) -> None:
    bundle = small.published.bundle
    twin = int(bundle.histories.item_idx[0])
    catalogue, rows = shuffled(bundle, np.arange(len(bundle.items)), extra=1)
    swapped = np.where((rows.item_idx == twin) & (rows.user_idx // 4 % 2 == 0), len(bundle.items), rows.item_idx)
    model = first_model(CONFIG.model, CONFIG.training, begun(small, catalogue, replace(rows, item_idx=swapped)))
    own = torch.nn.functional.normalize(model.items.embedding.weight.detach(), dim=1)
    assert int((own[:-1] @ own[-1]).argmax()) // RING == twin // RING


def test_other_first_weights_or_targets_make_another_run(small: Small) -> None:
    catalogue, rows = shuffled(small.published.bundle, np.arange(len(small.published.bundle.items)))
    config, plain = CONFIG.training, TrainingSet.of(catalogue, rows, None)
    warm = begun(small, catalogue, rows)
    only_new = begun(small, catalogue, rows, FitRun.parse(["data=x", *SMALL, "warm_start=true", "only_new=true"]))
    assert warm.start is not None
    moved = replace(warm, start=warm.start | {"position": warm.start["position"] + 1})
    assert len({fingerprint(CONFIG.model, config, data) for data in (plain, warm, only_new, moved)}) == 4


def later_world() -> Tables:
    """The tiny world half a year on: two items are gone, there is one more, and everyone bought more."""
    tables = tiny_world(n_users=60, orders_per_user=10)
    renamed = tables.items["item_id"].replace({"i0001": "i9001"})
    items = tables.items.assign(item_id=renamed)[renamed != "i0002"]
    events = tables.events.assign(item_id=tables.events["item_id"].replace({"i0001": "i9001"}))
    return replace(tables, items=items, events=events[events["item_id"] != "i0002"])


def test_a_warm_start_is_a_fit_that_knows_its_parent(small: Small, tmp_path: Path) -> None:
    data = write_world(later_world(), tmp_path / "later")
    version, registry = small.published.bundle.manifest.version, f"registry={tmp_path / 'registry'}"
    words = [registry, f"parent={small.published.folder}", "warm_start=true", "epochs=1"]
    warm, _ = small_fit(data, tmp_path, *words)
    cold, _ = small_fit(data, tmp_path, registry, "epochs=1")
    assert warm.bundle.manifest.parent == version
    assert warm.table["sequence model"]["ndcg@10"] > cold.table["sequence model"]["ndcg@10"]
    assert warm.report.steps[0].name == f"from {version}"
    card = (warm.folder / "card" / "card.md").read_text()
    assert "1 new items, 2 gone; 100.0% of the parameters are trained" in card


REFUSED = {
    "no-parent": (["warm_start=true"], "give parent=current or parent=<version>"),
    "no-start": (["only_new=true"], "forgets what older events taught"),
    "shape": (["parent={}", "warm_start=true", "embedding_dim=8"], "give model.embedding_dim=16, or fit without"),
    "content": (["parent={}", "warm_start=true", "content=tfidf"], "trained with content=none; give content=none"),
    "no-clock": (["parent={}", "warm_start=true", "only_new=true", "archived=true"], "needs the times of events"),
    "lora": (["lora.rank=2"], "adapts trained weights; give parent=… warm_start=true too"),
    "lora-share": (["parent={}", "warm_start=true", "lora.rank=8"], "of the parameters, but lora.most=5.0%"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_gone_on_from_is_said_before_anything_is_written(
    case: str, small: Small, tmp_path: Path
) -> None:
    words, sentence = REFUSED[case]
    with pytest.raises(ConfigError, match=sentence):
        small_fit(small.data, tmp_path, *(word.format(small.published.folder) for word in words))
    assert not (tmp_path / "registry").exists()


def test_a_parent_of_another_family_is_refused(small: Small) -> None:
    config = FitRun.parse(["data=x", "kind=gru"])
    with pytest.raises(ConfigError, match="holds a Transformer, from which model.kind=gru cannot start"):
        read_parent(small.published.folder, config.model, config.features)


def test_a_parent_that_shares_no_item_is_refused(small: Small, tmp_path: Path) -> None:
    tables = tiny_world(n_users=30)
    other = replace(
        tables, items=tables.items.assign(item_id="x" + tables.items["item_id"]),
        events=tables.events.assign(item_id="x" + tables.events["item_id"]),
    )  # fmt: skip
    data = write_world(other, tmp_path / "other")
    with pytest.raises(DataError, match="none of the 24 items is among the 24 of parent="):
        small_fit(data, tmp_path, f"parent={small.published.folder}", "warm_start=true")


def test_a_parent_whose_attributes_are_all_unknown_is_refused(small: Small, tmp_path: Path) -> None:
    data = write_ring(tmp_path / "bare")
    (data / "items.parquet").unlink()
    events = pd.read_parquet(data / "events.parquet").drop(columns="price")
    events.to_parquet(data / "events.parquet")
    with pytest.raises(DataError, match="this data none of them; give the items' file too"):
        small_fit(data, tmp_path, f"parent={small.published.folder}", "warm_start=true")
