from pathlib import Path

import numpy as np

from tests.world import tiny_world, write_world
from train.data.source import DataConfig, prepare_data


def test_a_prepared_folder_is_read_as_it_is(tmp_path: Path) -> None:
    raw = write_world(tiny_world(), tmp_path / "raw")
    first = prepare_data(DataConfig.parse([f"data={raw}", f"rejects={tmp_path}", "min_item_events=2"]))
    first.save(tmp_path / "prepared")
    again = prepare_data(DataConfig.parse([f"data={tmp_path / 'prepared'}"]))
    assert again.name == first.name and again.report == first.report
    np.testing.assert_array_equal(again.interactions.item_idx, first.interactions.item_idx)
    assert again.catalogue.item_ids.tolist() == first.catalogue.item_ids.tolist()
