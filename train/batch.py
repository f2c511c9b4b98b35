"""Batch recommendations: a list for each of many users, from a bundle and a file of events."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from cluster.errors import DataError
from cluster.storage import whole_file
from train.bundle import Bundle, read_bundle
from train.config import RecommendRun
from train.data.prepared import Prepared
from train.data.schema import Interactions
from train.data.source import prepare_data
from train.models.candidates import Candidates
from train.models.shopper import NO_HISTORY, history_of
from train.recommender import prospects
from train.registry import Registry

log = logging.getLogger(__name__)


def recommend(config: RecommendRun) -> pd.DataFrame:
    """Write and return user_id, rank (from 1), item_id, score: the k best items of every asked user by fused score.

    Reads the whole given history. A user without history gets a stranger's list.
    """
    bundle = read_bundle(Registry(config.registry).find(config.bundle))
    history = in_vocabulary(prepare_data(config), bundle)
    user_ids = history.user_ids if config.users == "all" else read_user_ids(Path(config.users))
    frame = pd.concat(list(_lists(bundle, history, user_ids, config)), ignore_index=True)
    with whole_file(Path(config.out)) as aside:
        frame.to_parquet(aside)
    return frame


def in_vocabulary(prepared: Prepared, bundle: Bundle) -> Interactions:
    """Return prepared history in the item_idx of a bundle; rows of items that it does not know are left out."""
    index = pd.Index(bundle.items["item_id"])
    item_idx = index.get_indexer(pd.Index(prepared.catalogue.item_ids))[prepared.interactions.item_idx]
    known = item_idx >= 0
    if not known.any():
        raise DataError(
            f"none of the {prepared.catalogue.n_items} items in {prepared.name} is in bundle "
            f"{bundle.manifest.version}; give events of the catalogue it was trained on"
        )
    if not known.all():
        log.warning("left out rows=%d of items unknown to bundle=%s", (~known).sum(), bundle.manifest.version)
    kept = prepared.interactions.where(known)
    return Interactions(
        user_ids=kept.user_ids, offsets=kept.offsets, item_idx=item_idx[known], timestamp_ms=kept.timestamp_ms,
        order_idx=kept.order_idx, weight=kept.weight,
    )  # fmt: skip


def read_user_ids(path: Path) -> np.ndarray:
    """Return the column user_id of a csv or parquet file as strings."""
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
        return frame["user_id"].astype(str).to_numpy(dtype=object)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"users={path} must be a csv or parquet file with a column user_id: {error}") from None


def _lists(bundle: Bundle, history: Interactions, user_ids: np.ndarray, config: RecommendRun) -> Iterator[pd.DataFrame]:
    users = [history.index.get(user_id) for user_id in user_ids]
    histories = [NO_HISTORY if user is None else history_of(history, user) for user in users]
    found = prospects(bundle.model, bundle.state, bundle.sources, histories, config.keep_seen)
    item_ids = bundle.items["item_id"].to_numpy(dtype=object)
    for user_id, prospect in zip(user_ids, tqdm(found, total=len(user_ids), desc="users", unit="u"), strict=True):
        yield _rows(user_id, prospect.ranked(bundle.state, bundle.ranker).best(config.k), item_ids)


def _rows(user_id: str, best: Candidates, item_ids: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({
        "user_id": user_id, "rank": np.arange(1, len(best) + 1), "item_id": item_ids[best.item_idx],
        "score": best.score,
    })  # fmt: skip
