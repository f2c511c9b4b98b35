"""Rows of the engine are plain settings, and its lists are ranked apart from its code."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.comparison.engine import as_words, engine_rows, ranks_in_lists
from bench.comparison.plan import AccuracyConfig
from cluster.errors import ConfigError
from train.config import FitRun

ROWS = AccuracyConfig.parse(["data=somewhere"]).engine_settings


def test_settings_become_words_that_the_command_reads_as_meant() -> None:
    settings = {
        "refit": True,
        "model": {"kind": "gru", "hidden_dim": 32},
        "max_rows_per_epoch": None,
        "content": "none",
    }
    run = FitRun.parse(["data=x", *as_words(settings)])
    assert run.refit
    assert run.model.model_dump()["hidden_dim"] == 32
    assert run.training.max_rows_per_epoch is None
    assert run.features.content == "none"


def test_the_rows_that_come_with_the_command_are_real_settings() -> None:
    rows = engine_rows("all", ROWS, {})
    for row in rows.values():
        FitRun.parse(["data=x", *as_words(row.settings)])
    assert {"default", "ids only", "refit"} <= set(rows)


def test_rows_can_be_named_and_what_is_given_lies_below_their_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text("plain:\nlong: {settings: {training: {epochs: 30}}}\n")
    rows = engine_rows("all", str(path), {"training": {"epochs": 2}})
    assert [as_words(row.settings) for row in rows.values()] == [["training.epochs=2"], ["training.epochs=30"]]
    assert list(engine_rows("long", str(path), {})) == ["long"]
    with pytest.raises(ConfigError, match="did you mean plain"):
        engine_rows("plan", str(path), {})


def test_an_item_is_ranked_among_those_listed_with_ties_half_way() -> None:
    lists = pd.DataFrame({
        "user_id": ["u"] * 4 + ["v"], "item_id": ["a", "b", "c", "d", "a"], "score": [0.9, 0.5, 0.5, 0.1, 1.0],
    })  # fmt: skip
    asked = pd.DataFrame({"user_id": ["u", "v", "w", "u"], "item_id": ["c", "b", "a", "a"]})
    assert ranks_in_lists(lists, asked).tolist() == [1.5, np.inf, np.inf, 0.0]
