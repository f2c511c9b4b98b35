"""Rows of families: their settings, and what is chosen for them."""

from pathlib import Path

import numpy as np
import pytest

from bench.comparison.choosing import fit_and_choose, points
from bench.comparison.families import Grid, family_rows, merged, names_among
from bench.comparison.plan import AccuracyConfig
from cluster.errors import ConfigError, DataError
from tests.train.histories import histories_of
from train.models.closed_form.links import RulesConfig
from train.models.neural.gru import GruConfig
from train.models.registered import FAMILIES
from train.training_set import TrainingSet
from train.validation import ValidationSet

DEFAULTS = AccuracyConfig.parse(["data=somewhere"])


def rows(asked: str, settings: Path | str = "none", **given: dict) -> dict:
    return {row.name: row for row in family_rows(asked, str(settings), DEFAULTS.grids, given)}


def write_sweep(folder: Path, name: str, fit: str) -> None:
    (folder / f"{name}.yaml").write_text(f"name: x\ntrials: 2\nspace: {{}}\nfit: {fit}\n")


def test_every_registered_family_is_a_row() -> None:
    assert set(rows("all")) == set(FAMILIES)
    assert rows("none") == {}


def test_the_grids_that_come_with_the_command_name_real_settings() -> None:
    for row in rows("all", DEFAULTS.settings).values():
        for name, values in (row.grid.fit | row.grid.read).items():
            for value in values:
                type(row.model).checked(row.model.model_dump() | {name: value})


def test_settings_of_a_sweep_make_a_row_and_the_command_line_goes_above_them(tmp_path: Path) -> None:
    write_sweep(tmp_path, "gru", "{model: {kind: gru, hidden_dim: 32}, training: {epochs: 5, negatives: 64}}")
    write_sweep(tmp_path, "bpr", "{model: {kind: factorization, method: bpr}}")
    write_sweep(tmp_path, "quick", "{training: {epochs: 9}}")
    found = rows("all", tmp_path, training={"epochs": 2})
    assert set(found) == {*FAMILIES, "bpr"}
    assert (found["gru"].model.hidden_dim, found["gru"].training.negatives) == (32, 64)
    assert {row.training.epochs for row in found.values()} == {2}
    assert found["bpr"].model.method == "bpr"


def test_a_folder_without_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder with .yaml files"):
        rows("all", tmp_path)


def test_a_misspelt_row_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="'transfomer'; did you mean transformer"):
        names_among("gru, transfomer", ["gru", "transformer"])


def test_settings_merge_group_by_group() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "e": 5}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": 5}


def test_only_families_that_draw_depend_on_a_seed() -> None:
    random = {name for name, row in rows("all").items() if row.is_random}
    assert {"gru", "factorization"} <= random
    assert random.isdisjoint({"rules", "ease", "popularity"})


def test_the_given_settings_are_tried_first_and_once() -> None:
    tried = points(RulesConfig(window=7), {"window": [5, 7], "decay": [0.5]})
    assert tried == [{"window": 7, "decay": 0.8}, {"window": 5, "decay": 0.5}, {"window": 7, "decay": 0.5}]


def chosen_of(name: str, folder: Path, **changes: object):  # noqa: ANN201
    """Return what is chosen where the item before the last one decides what comes next."""
    walks = [[a, b, 4 + a] for a in range(4) for b in range(4) if a != b] * 4
    valid = ValidationSet(
        histories=[np.array(walk[:2]) for walk in walks],
        truths=[np.array(walk[2:]) for walk in walks],
        filter_seen=True,
    )
    data = TrainingSet(train=histories_of(walks), n_items=8, valid=valid)
    row = rows(name)[name].model_copy(update=changes)
    return fit_and_choose(row, data, valid, folder)


def test_validation_chooses_a_point_of_the_grid(tmp_path: Path) -> None:
    grid = Grid(fit={"backward": [0.5, 0.0]}, read={"history_decay": [0.1, 1.0]})
    model = RulesConfig(window=2, history_decay=0.1)
    chosen = chosen_of("rules", tmp_path, grid=grid, model=model)
    alone = chosen_of("rules", tmp_path, grid=Grid(), model=model)
    assert chosen.settings["history_decay"] == 1.0
    assert chosen.valid > alone.valid
    assert chosen.model.config.history_decay == 1.0


@pytest.mark.parametrize(("name", "lacks"), [("content", "words"), ("tags", "attributes")])
def test_a_family_that_would_score_all_items_alike_is_refused(name: str, lacks: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"compares the {lacks} of items, and these have none"):
        chosen_of(name, tmp_path)


def test_validation_chooses_an_epoch(tmp_path: Path) -> None:
    training = rows("gru")["gru"].training.model_copy(update={"epochs": 3, "negatives": 8})
    model = GruConfig(embedding_dim=8, hidden_dim=8, max_length=5)
    chosen = chosen_of("gru", tmp_path, training=training, model=model)
    assert chosen.settings["epoch"] in (1, 2, 3)
    assert 0 < chosen.valid <= 1
