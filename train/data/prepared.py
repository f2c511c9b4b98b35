"""Prepared data as a value, and as a folder that another run can read."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, load_npz, save_npz

from cluster.errors import DataError
from cluster.storage import whole_folder
from train.data.report import Report, Step
from train.data.schema import Catalogue, Interactions
from train.data.steps.reviews import no_reviews

ABOUT, TRAITS, REVIEWS = "about.json", "traits.parquet", "reviews.parquet"
ARRAYS = ("offsets", "item_idx", "timestamp_ms", "order_idx", "weight", "purchased", "kept", "review_idx")


def nobody() -> pd.DataFrame:
    """Return a table of users without a row."""
    return pd.DataFrame({"user_id": pd.Series(dtype="str"), "traits": pd.Series(dtype="str")})


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What every kind of training and evaluation starts from."""

    name: str
    interactions: Interactions
    catalogue: Catalogue
    has_clock: bool
    report: Report
    users: pd.DataFrame = field(default_factory=nobody)  # user_id and `traits`, a mapping as JSON; one row for each
    reviews: pd.DataFrame = field(default_factory=no_reviews)  # `text` and `stars`, what `review_idx` points into

    def save(self, folder: Path) -> None:
        """Write everything into a new folder, whole or not at all."""
        with whole_folder(folder) as aside:
            np.savez(aside / "interactions.npz", **_arrays(self.interactions))
            pd.DataFrame({"user_id": self.interactions.user_ids}).to_parquet(aside / "users.parquet")
            self.catalogue.frame.to_parquet(aside / "items.parquet")
            save_npz(aside / "attributes.npz", self.catalogue.attributes)
            self.users.to_parquet(aside / TRAITS)
            self.reviews.to_parquet(aside / REVIEWS)
            (aside / ABOUT).write_text(json.dumps(self._about()))

    @staticmethod
    def lies_in(folder: Path) -> bool:
        """Tell whether `save` wrote this folder."""
        return (folder / ABOUT).is_file()

    @classmethod
    def load(cls, folder: Path) -> "Prepared":
        """Return what `save` wrote."""
        try:
            about = json.loads((folder / ABOUT).read_text())
            return cls(
                name=about["name"], has_clock=about["has_clock"],
                interactions=_load_interactions(folder), catalogue=_load_catalogue(folder, about),
                report=Report(tuple(Step(**step) for step in about["steps"])),
                users=pd.read_parquet(folder / TRAITS) if (folder / TRAITS).is_file() else nobody(),
                reviews=pd.read_parquet(folder / REVIEWS) if (folder / REVIEWS).is_file() else no_reviews(),
            )  # fmt: skip
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"cannot read prepared data from {folder}: {error}; prepare it again") from error

    def _about(self) -> dict[str, object]:
        pictures = self.catalogue.folder
        return {
            "name": self.name, "has_clock": self.has_clock, "attribute_names": self.catalogue.attribute_names,
            "folder": str(pictures) if pictures else None,
            "steps": [asdict(step) for step in self.report.steps],
        }  # fmt: skip


def _arrays(interactions: Interactions) -> dict[str, Any]:
    known = {name: getattr(interactions, name) for name in ARRAYS}
    return {name: array for name, array in known.items() if array is not None}


def _load_interactions(folder: Path) -> Interactions:
    with np.load(folder / "interactions.npz", allow_pickle=False) as arrays:
        user_ids = pd.read_parquet(folder / "users.parquet")["user_id"].to_numpy(dtype=object)
        return Interactions(user_ids=user_ids, **{name: arrays[name] for name in arrays.files})


def _load_catalogue(folder: Path, about: dict[str, Any]) -> Catalogue:
    pictures = about.get("folder")
    return Catalogue(
        frame=pd.read_parquet(folder / "items.parquet"),
        attributes=csr_matrix(load_npz(folder / "attributes.npz")),
        attribute_names=tuple(about["attribute_names"]),
        folder=Path(pictures) if pictures else None,
    )
