"""Batch recommendations: a list for each of many users, from a bundle and a file of events."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.errors import DataError
from cluster.storage import whole_file
from train.bundle import Bundle, read_bundle
from train.config import RecommendRun
from train.data.ids import as_ids
from train.data.loaders.names import USER_NAMES, canonical, require
from train.data.loaders.read import read_table
from train.data.prepared import Prepared
from train.data.schema import Interactions
from train.data.source import prepare_data
from train.models.candidates import Candidates
from train.models.mix import best_mixed, new_places
from train.models.shopper import NO_HISTORY, History, history_of
from train.progress import OwnBar
from train.recommender import prospects, ranked
from train.registry import Registry
from train.traits import traits_as_told

log = logging.getLogger(__name__)


def recommend(config: RecommendRun) -> pd.DataFrame:
    """Write and return user_id, rank (from 1), item_id, score: the k best items of every asked user by fused score.

    Reads the whole given history. A user without history gets a stranger's list.
    """
    bundle = read_bundle(Registry(config.registry).find(config.bundle))
    history = in_vocabulary(prepare_data(config), bundle)
    user_ids = history.user_ids if config.users == "all" else read_user_ids(Path(config.users))
    frame = _as_frame(user_ids, list(_lists(bundle, history, user_ids, config)), bundle)
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
    history = replace(prepared.interactions.where(known), item_idx=item_idx[known])
    history = bundle.critic.told(history, prepared.reviews)
    return traits_as_told(history, prepared.users, bundle)


def read_user_ids(path: Path) -> np.ndarray:
    """Return the distinct users that a table names, in its order."""
    frame = read_table(path)
    named = canonical(frame, USER_NAMES)
    require(named, ("user_id",), USER_NAMES, path, frame.columns)
    return as_ids(named["user_id"]).dropna().unique().astype(object)


def _lists(bundle: Bundle, history: Interactions, user_ids: np.ndarray, config: RecommendRun) -> Iterator[Candidates]:
    """Yield each user's best candidates, best first."""
    histories = [_shopper(user_id, history, bundle.histories) for user_id in user_ids]
    sources, n_new = bundle.sources.at_least(config.k), new_places(config.new_share, config.k)
    with OwnBar(total=len(user_ids), desc="users", unit="u") as bar:
        for chunk in prospects(bundle.model, bundle.state, sources, histories, config.keep_seen):
            scored = ranked(chunk, bundle.state, bundle.ranker)
            for prospect, one in zip(chunk, scored, strict=True):
                yield best_mixed(one, config.k, prospect.history.item_idx, n_new)
            bar.update(len(chunk))


def _shopper(user_id: str, history: Interactions, known: Interactions) -> History:
    """Return a user of the given history; of any other, no more than the traits that the bundle knows."""
    if (user := history.index.get(user_id)) is not None:
        return history_of(history, user)
    stranger = known.index.get(user_id)
    return NO_HISTORY if stranger is None else replace(NO_HISTORY, traits=known.traits_of(stranger))


def _as_frame(user_ids: np.ndarray, lists: list[Candidates], bundle: Bundle) -> pd.DataFrame:
    lengths = [len(best) for best in lists]
    item_idx = np.concatenate([best.item_idx for best in lists])
    return pd.DataFrame({
        "user_id": np.repeat(user_ids, lengths),
        "rank": np.concatenate([np.arange(1, length + 1) for length in lengths]),
        "item_id": bundle.items["item_id"].to_numpy(dtype=object)[item_idx],
        "score": np.concatenate([best.score for best in lists]).astype(np.float32),
    })  # fmt: skip
