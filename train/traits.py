"""What is known of shoppers beside their histories, from a table of users to histories that carry it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from train.bundle_state import BundleState
from train.data.schema import Interactions, Split
from train.encoders.traits import TraitEncoder
from train.models.registered import ModelConfig, hears


def fit_traits(users: pd.DataFrame) -> TraitEncoder | None:
    """Return how to describe the users of a prepared table, or nothing where no two of them share anything."""
    encoder = TraitEncoder.fit(_told(users))
    return encoder if encoder.dim else None


def told_of_users(
    split: Split, users: pd.DataFrame, config: ModelConfig, known: TraitEncoder | None = None
) -> tuple[Split, TraitEncoder | None]:
    """Return the split of a history that carries traits, where the model reads them, and how they are described.

    Its queries stay what they are. known: how an earlier bundle describes shoppers, for a model that learned to read
    just that.
    """
    encoder = (known or fit_traits(users)) if hears(config) else None
    if encoder is None:
        return split, None
    user_ids, rows = users["user_id"].to_numpy(dtype=object), encoder.of(_told(users))
    history, train = (with_traits(part, user_ids, rows) for part in (split.history, split.train))
    return replace(split, history=history, train=train), encoder


def traits_as_told(history: Interactions, users: pd.DataFrame, bundle: BundleState) -> Interactions:
    """Return other data's history with traits of its own table of users, and else with those that the bundle knows."""
    if bundle.traits is None or bundle.histories.traits is None:
        return history
    shared = np.flatnonzero(np.isin(bundle.histories.user_ids, history.user_ids))
    known = with_traits(history, bundle.histories.user_ids[shared], csr_matrix(bundle.histories.traits[shared]))
    return with_traits(known, users["user_id"].to_numpy(dtype=object), bundle.traits.of(_told(users)))


def with_traits(interactions: Interactions, user_ids: np.ndarray, rows: csr_matrix) -> Interactions:
    """Return a history that carries traits; users who have no history yet come after the others.

    user_ids: (n,) distinct; rows: (n, n_traits). Who is not among them keeps what `interactions` knew.
    """
    new = user_ids[~np.isin(user_ids, interactions.user_ids)]
    everyone = np.concatenate([interactions.user_ids, new])
    known = interactions.traits
    if known is None:
        known = csr_matrix((interactions.n_users, rows.get_shape()[1])).astype(np.float32)
    row = np.zeros(len(everyone), dtype=np.int64)
    row[: interactions.n_users] = np.arange(interactions.n_users)
    row[pd.Index(everyone).get_indexer(pd.Index(user_ids))] = interactions.n_users + np.arange(len(user_ids))
    return replace(
        interactions, user_ids=everyone, offsets=np.pad(interactions.offsets, (0, len(new)), mode="edge"),
        traits=csr_matrix(csr_matrix(vstack([known, rows]))[row]),
    )  # fmt: skip


def _told(users: pd.DataFrame) -> list[dict[str, Any]]:
    return [json.loads(text) for text in users["traits"]]
