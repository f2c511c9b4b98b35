"""Runs are recorded where they are compared, offline, and a missing package is named with its remedy."""

import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from train.bundle_state import Manifest
from train.tracking import TrackingConfig, require_tracker, track

SETTINGS = {"k": 10, "training": {"epochs": 2}}
EPOCHS = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.5, "ndcg@10": 0.25}]
TABLE = {"liveshelf, seen kept": {"ndcg@10": 0.5, "ndcg@10±": 0.125}}


def tracked(folder: Path, system: str) -> None:
    manifest = Manifest(
        name="shop", version="shop-1", created=datetime(2026, 1, 2, tzinfo=UTC), data_cutoff_ms=0, keep_seen=False,
        code_version="0.1.0", config=SETTINGS, metrics=TABLE,
    )  # fmt: skip
    track(TrackingConfig.parse([f"tracking={system}", f"runs={folder}"]), manifest, EPOCHS)


def test_tensorboard_shows_each_epoch_and_the_final_table(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracked(tmp_path, "tensorboard")
    events = EventAccumulator(str(tmp_path / "shop-1")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 2.0), (2, 1.5)]
    assert [(event.step, event.value) for event in events.Scalars("train/ndcg@10")] == [(2, 0.25)]
    assert [event.value for event in events.Scalars("liveshelf, seen kept/ndcg@10±")] == [0.125]
    assert "training.epochs: 2" in str(events.Tensors("settings/text_summary")[0].tensor_proto.string_val)


def test_nothing_is_written_unless_asked_for(tmp_path: Path) -> None:
    tracked(tmp_path, "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("system", ["wandb", "mlflow"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, system, None)
    with pytest.raises(ConfigError, match=rf'needs {system}.*pip install "liveshelf\[tracking\]"'):
        require_tracker(TrackingConfig.parse([f"tracking={system}"]))


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(ConfigError, match="'tensorboard', 'wandb' or 'mlflow'"):
        TrackingConfig.parse(["tracking=notebook"])


def test_mlflow_keeps_a_run_in_a_database_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(None)
    tracked(tmp_path, "mlflow")
    mlflow.set_tracking_uri(None)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        rows = set(database.execute("select key, value, step from metrics"))
    assert {("train/loss", 2.0, 1), ("train/loss", 1.5, 2), ("train/ndcg_at_10", 0.25, 2)} < rows
    assert ("liveshelf seen kept/ndcg_at_10_half", 0.125, 2) in rows


def test_wandb_keeps_a_run_in_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracked(tmp_path, "wandb")
    (record,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"ndcg@10" in record.read_bytes()
