"""A bundle is whole, unaltered and harmless, or it is refused."""

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cluster.errors import BundleError, StorageError
from cluster.storage import sha256
from tests.train.conftest import Small
from train.bundle import read_bundle, write_bundle
from train.bundle_state import MANIFEST, Manifest, check_bundle
from train.critic import Critic
from train.models.ranker import Ranker
from train.models.shopper import history_of
from train.recommender import prospects, ranked

READ = (
    "calibration.json", "content.json", "critic.safetensors", "encoder.json", "facets.safetensors",
    "histories.parquet", "item_vectors.npy", "items.parquet", "model.safetensors", "transitions.safetensors",
    "users.parquet", "words.safetensors",
)  # fmt: skip
CARD = (
    "card/calibration_purchase.png", "card/card.md", "card/metrics.png", "card/popularity.png", "card/segments.png",
    "card/settings.yaml", "card/training.png",
)  # fmt: skip
FILES = READ + CARD


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.fixture
def copy(small: Small, tmp_path: Path) -> Path:
    return shutil.copytree(small.published.folder, tmp_path / "bundle")


def seal(folder: Path) -> None:
    """Give altered files a manifest that vouches for them, as an attacker would."""
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    files = {name: sha256(folder / name) for name in manifest.files}
    (folder / MANIFEST).write_text(manifest.model_copy(update={"files": files}).sealed().model_dump_json())


def test_a_bundle_that_was_written_and_read_gives_equal_scores(small: Small) -> None:
    original, again = small.published.bundle, read_bundle(small.published.folder)
    assert again.manifest.files.keys() == set(FILES)
    histories = [history_of(original.histories, user) for user in range(5)]
    scores = [
        [
            candidates.score.tobytes()
            for chunk in prospects(bundle.model, bundle.state, bundle.sources, histories, keep_seen=False)
            for candidates in ranked(chunk, bundle.state, bundle.ranker)
        ]
        for bundle in (original, again)
    ]
    assert scores[0] == scores[1]
    assert len(scores[0]) == 5
    assert again.items["item_id"].tolist() == original.items["item_id"].tolist()
    assert again.sources == original.sources
    assert again.histories.kept is not None
    np.testing.assert_array_equal(again.histories.kept, original.histories.kept)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.97])
def test_a_flipped_byte_is_noticed_and_its_file_named(copy: Path, name: str, place: float) -> None:
    content = bytearray((copy / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        read_bundle(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        check_bundle(copy)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        read_bundle(tmp_path)


def test_a_bundle_of_before_facets_and_critics_has_items_that_say_nothing_and_nobody_who_reads(
    small: Small, copy: Path
) -> None:
    known = small.published.bundle.state.facets
    assert read_bundle(copy).state.facets.category.tolist() == known.category.tolist()
    manifest = Manifest.model_validate_json((copy / MANIFEST).read_text())
    later = ("facets.safetensors", "critic.safetensors")
    files = {name: digest for name, digest in manifest.files.items() if name not in later}
    (copy / MANIFEST).write_text(manifest.model_copy(update={"files": files}).sealed().model_dump_json())
    before = read_bundle(copy)
    assert before.critic == Critic()
    for array in before.state.facets.arrays().values():
        assert len(array) == len(known.category) and not array.any()


def test_a_bundle_of_another_format_is_refused(copy: Path) -> None:
    values = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(values | {"format": 99, "seal": ""}))
    with pytest.raises(BundleError, match="format 99"):
        read_bundle(copy)


@pytest.mark.parametrize("name", READ)
def test_a_pickle_in_place_of_a_file_does_not_run(copy: Path, tmp_path: Path, name: str) -> None:
    exploded = tmp_path / "exploded"
    (copy / name).write_bytes(pickle.dumps(Bomb(exploded)))
    seal(copy)
    with pytest.raises(BundleError, match="cannot read"):
        read_bundle(copy)
    assert not exploded.exists()


def test_pickled_objects_inside_an_array_do_not_run(copy: Path, tmp_path: Path) -> None:
    exploded = tmp_path / "exploded"
    array = io.BytesIO()
    np.save(array, np.array([Bomb(exploded)], dtype=object), allow_pickle=True)
    (copy / "item_vectors.npy").write_bytes(array.getvalue())
    seal(copy)
    with pytest.raises(BundleError, match="cannot read"):
        read_bundle(copy)
    assert not exploded.exists()


def test_a_pickle_beside_the_files_is_never_opened(copy: Path, tmp_path: Path) -> None:
    for name in ("model.pkl", "model.pt", "data.pkl"):
        (copy / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert read_bundle(copy).manifest.files.keys() == set(FILES)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["calibration.json", "encoder.json"])
@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"model": 1}', "not json"])
def test_json_of_another_shape_is_refused(copy: Path, name: str, content: str) -> None:
    (copy / name).write_text(content)
    seal(copy)
    with pytest.raises(BundleError):
        read_bundle(copy)


def test_a_catalogue_that_shrank_below_its_model_is_refused(copy: Path) -> None:
    items = pd.read_parquet(copy / "items.parquet")
    items.iloc[:-1].to_parquet(copy / "items.parquet")
    seal(copy)
    with pytest.raises(BundleError, match=f"lists {len(items) - 1} items, but its model knows {len(items)}"):
        read_bundle(copy)


class BrokenRanker(Ranker):
    """Fails when the bundle is half written."""

    def to_json(self) -> dict[str, Any]:
        raise RuntimeError("interrupted")


def test_a_bundle_that_was_interrupted_is_not_there(small: Small, tmp_path: Path) -> None:
    bundle = small.published.bundle
    arrays = {name: getattr(bundle.ranker, name) for name in Ranker.__slots__}
    with pytest.raises(RuntimeError, match="interrupted"):
        write_bundle(replace(bundle, ranker=BrokenRanker(**arrays)), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_nothing_stays(small: Small, full_disk: Path) -> None:
    with pytest.raises(StorageError, match="no space left for .*bundle; free some"):
        write_bundle(small.published.bundle, full_disk / "bundle")
    assert list(full_disk.iterdir()) == []
