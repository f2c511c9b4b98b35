"""Ways of ranking that every engine must beat; each reads the candidates that the engine ranks, too."""

import numpy as np

from train.evaluation.measure import Row
from train.models.candidates import Candidates
from train.models.item_state import ItemState
from train.models.prospect import Prospect
from train.models.ragged import positions


def sequence_only(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by ⟨h_u, h_i⟩ alone."""
    items = prospect.candidates.item_idx
    return prospect.candidates.scored(state.vectors.take(items, axis=0) @ prospect.vector)


def sequential_rules(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by the transitions from the shopper's last items (Ludewig and Jannach, 2018, section 3.1)."""
    items, followers = prospect.candidates.item_idx, prospect.followers
    score = np.zeros(len(items))
    found, place = positions(followers.item_idx, items)
    score[found] = followers.score[place]
    return prospect.candidates.scored(score)


def popularity(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by how often each item was chosen."""
    return prospect.candidates.scored(state.popularity[prospect.candidates.item_idx])


def personal_top(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by how often the shopper chose each item, then by popularity."""
    own, count = np.unique(prospect.history.item_idx, return_counts=True)
    items = np.union1d(own, prospect.candidates.item_idx)
    score = state.popularity[items] / (state.popularity.max() + 1)
    score[np.searchsorted(items, own)] += count
    return Candidates(item_idx=items, source=np.zeros(len(items), np.uint8), score=score)


BASELINES: dict[str, Row] = {
    "sequence model": sequence_only,
    "sequential rules": sequential_rules,
    "popularity": popularity,
}
REPEATING: dict[str, Row] = {"personal top": personal_top}  # where shoppers may get again what they had
