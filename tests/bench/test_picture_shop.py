"""A shop of pictures in folders: every picture is an item, and shoppers keep to a class."""

from pathlib import Path

import pytest

from bench.picture_shop import main
from cluster.errors import DataError
from train.data.load import load
from train.data.steps.catalogue import plain_items
from train.encoders.pictures import image_files


def test_every_picture_is_an_item_and_shoppers_keep_to_a_class(tmp_path: Path) -> None:
    for label in ("hat", "shoe"):
        (tmp_path / "classes" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "classes" / label / f"{number}.JPG").write_text(f"{label} {number}")
    assert main([f"pictures={tmp_path / 'classes'}", f"out={tmp_path / 'shop'}", "users=60", "events=10"]) == 0
    tables = load(str(tmp_path / "shop"))
    label = {file.item_id: file.path.read_text()[:3] for file in image_files(plain_items(tables.items), tables.folder)}
    assert sorted(label.values()) == ["hat"] * 3 + ["sho"] * 3
    own = tables.events.groupby("user_id")["item_id"].agg(lambda taken: taken.map(label).value_counts().iloc[0] / 10)
    assert len(own) == 60
    assert 0.8 < own.mean() < 1  # four in five, and half of the strays


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no folders of"):
        main([f"pictures={tmp_path}", f"out={tmp_path / 'shop'}"])
