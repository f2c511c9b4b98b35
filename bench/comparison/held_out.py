"""Each shopper's last item, taken away before anything else sees the data, and who is asked for it."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.errors import DataError
from train.data.prepared import Prepared
from train.data.steps.catalogue import build_catalogue

VISIBLE, IDS_ONLY, ASKED = "visible", "ids_only", "asked.parquet"


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What models may read, and the test: which item came last for each shopper that is asked about."""

    visible: Prepared
    user_idx: np.ndarray  # (q,) int64
    truth: np.ndarray  # (q,) int64, item_idx

    @property
    def histories(self) -> list[np.ndarray]:
        """One per query: item_idx, oldest first, the validation item last."""
        return [self.visible.interactions.items_of(int(user)) for user in self.user_idx]

    @property
    def user_ids(self) -> np.ndarray:
        """(q,) the shoppers asked about."""
        return self.visible.interactions.user_ids[self.user_idx]

    @property
    def item_ids(self) -> np.ndarray:
        """(q,) what came last for them."""
        return self.visible.catalogue.item_ids[self.truth]

    def save(self, folder: Path) -> None:
        """Write everything into `folder`, and the same without a word about the items beside it."""
        self.visible.save(folder / VISIBLE)
        ids_only(self.visible).save(folder / IDS_ONLY)
        asked = {"user_idx": self.user_idx, "truth": self.truth, "user_id": self.user_ids, "item_id": self.item_ids}
        pd.DataFrame(asked).to_parquet(folder / ASKED)

    @classmethod
    def load(cls, folder: Path) -> "HeldOut":
        """Return what `save` wrote."""
        asked = pd.read_parquet(folder / ASKED)
        return cls(
            visible=Prepared.load(folder / VISIBLE), user_idx=asked["user_idx"].to_numpy(),
            truth=asked["truth"].to_numpy(),
        )  # fmt: skip

    def facts(self) -> dict[str, float]:
        """Return the size of the test, and how often its answer is something the shopper had before."""
        again = [item in history for item, history in zip(self.truth, self.histories, strict=True)]
        return {"asked": len(self.truth), "had_before": round(float(np.mean(again)), 4)}


def hide_last(prepared: Prepared, max_users: int, seed: int) -> HeldOut:
    """Take the last row of every user who has two; at most `max_users` of them, drawn by `seed`, are asked about."""
    interactions = prepared.interactions
    users = np.flatnonzero(np.diff(interactions.offsets) > 1)
    if not len(users):
        raise DataError(f"no user of {prepared.name} has two events, so that nothing can be asked; give more history")
    last = interactions.offsets[users + 1] - 1
    kept = np.ones(len(interactions), dtype=bool)
    kept[last] = False
    asked = np.sort(np.random.default_rng(seed).permutation(len(users))[:max_users])
    return HeldOut(
        visible=replace(prepared, interactions=interactions.where(kept)),
        user_idx=users[asked], truth=interactions.item_idx[last[asked]],
    )  # fmt: skip


def ids_only(prepared: Prepared) -> Prepared:
    """Return the same history with items that are numbers and nothing more."""
    ids = prepared.catalogue.frame[["item_id"]]
    no_prices = pd.Series(dtype=float)
    return replace(prepared, catalogue=build_catalogue(ids, prepared.catalogue.item_ids, no_prices, keep_unseen=True))


def counts(prepared: Prepared) -> dict[str, int]:
    """Return how many users, items with an event, and events there are."""
    item_idx = prepared.interactions.item_idx
    return {"users": prepared.interactions.n_users, "items": len(np.unique(item_idx)), "events": len(item_idx)}


def fingerprint(prepared: Prepared) -> str:
    """Return what is equal for equal data; without a clock, times are moved to now and do not count."""
    interactions, catalogue = prepared.interactions, prepared.catalogue
    parts = [interactions.offsets, interactions.item_idx, interactions.order_idx, interactions.weight]
    parts += [interactions.timestamp_ms - interactions.timestamp_ms.min()]
    parts += [catalogue.attributes.indptr, catalogue.attributes.indices]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(catalogue.frame.to_json().encode())
    return digest.hexdigest()[:12]
