"""A shop of real pictures and made-up shoppers, for questions that no public set of events with pictures answers.

    python -m bench.picture_shop pictures=<folder with a folder of pictures for each class> out=<new folder>
    python -m bench.cold_items data=<that folder> content=image

Each picture is an item that nothing else is known of; each shopper keeps to one class for four items in five.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from cluster.config import Config
from cluster.errors import DataError
from cluster.storage import whole_folder

KINDS = (".jpg", ".jpeg", ".png", ".webp")
FAITH = 0.8  # how often a shopper keeps to one class


class ShopConfig(Config):
    """Whose pictures, and how much is made up."""

    pictures: str = Field(description="folder that holds a folder of pictures for each class")
    out: str = Field(description="new folder for the shop")
    users: int = Field(default=3_000, ge=1, description="shoppers")
    events: int = Field(default=8, ge=1, description="items of each shopper")
    seed: int = Field(default=0, ge=0, description="of who takes what")


def find_items(pictures: Path) -> pd.DataFrame:
    """Return item_id, label and path of every picture."""
    paths = sorted(path for path in pictures.glob("*/*") if path.suffix.lower() in KINDS)
    if not paths:
        raise DataError(
            f"{pictures} holds no folders of {', '.join(KINDS)}; give a folder that holds one for each class"
        )
    ids = [f"i{number}" for number in range(len(paths))]
    return pd.DataFrame({"item_id": ids, "label": [path.parent.name for path in paths], "path": paths})


def make_events(items: pd.DataFrame, config: ShopConfig) -> pd.DataFrame:
    """Return who took what, in order."""
    rng = np.random.default_rng(config.seed)
    classes = [rows for _, rows in items.groupby("label")["item_id"]]
    user = np.repeat(np.arange(config.users), config.events)
    strays = rng.random(len(user)) >= FAITH
    chosen = np.where(strays, rng.integers(len(classes), size=len(user)), user % len(classes))
    item_ids = [classes[number].iloc[rng.integers(len(classes[number]))] for number in chosen]
    position = np.tile(np.arange(config.events), config.users)
    return pd.DataFrame({"user_id": [f"u{one}" for one in user], "item_id": item_ids, "position": position})


def main(words: list[str]) -> int:
    config = ShopConfig.parse(words)
    items = find_items(Path(config.pictures))
    named = zip(items["item_id"], items["path"], strict=True)
    items["image"] = [f"pictures/{item_id}{path.suffix.lower()}" for item_id, path in named]
    with whole_folder(Path(config.out)) as aside:
        (aside / "pictures").mkdir()
        for path, image in zip(items["path"], items["image"], strict=True):
            shutil.copyfile(path, aside / image)
        items[["item_id", "image"]].to_parquet(aside / "items.parquet")
        make_events(items, config).to_parquet(aside / "events.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
