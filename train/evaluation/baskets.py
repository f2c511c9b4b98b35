"""Next basket: ways of ranking that know orders, and lists that leave out what the shopper had, or some of it."""

import numpy as np

from train.evaluation.baselines import personal_top, popularity, sequential_rules
from train.evaluation.measure import Lists, Row, each
from train.evaluation.summary import ENGINE
from train.models.candidates import Candidates
from train.models.closed_form.tifu_knn import TifuKnn
from train.models.item_state import ItemState
from train.models.mix import best_mixed
from train.models.prospect import Prospect
from train.models.ragged import positions
from train.models.ranker import Ranker
from train.recommender import Lookup, ranked

DECAY = 0.9  # weight that an order loses with each order after it
RULES_SHARE = 0.3  # weight of the rules beside one's own items


def decayed_top(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by how often the shopper chose each item, an order counting DECAY of the one after it."""
    history, candidates = prospect.history, prospect.candidates
    own, position = np.unique(history.item_idx, return_inverse=True)
    _, age = np.unique(-history.order_idx, return_inverse=True)
    items = np.union1d(own, candidates.item_idx)
    score = 1e-12 * state.popularity[items] / max(state.popularity.max(), 1)  # where nothing else tells items apart
    score[np.searchsorted(items, own)] += np.bincount(position, DECAY**age, minlength=len(own))
    return Candidates(item_idx=items, source=np.zeros(len(items), np.uint8), score=score)


def decayed_top_with_rules(prospect: Prospect, state: ItemState) -> Candidates:
    """Rank by the shares of decayed counts and, RULES_SHARE as heavy, of transitions."""
    own, followers = decayed_top(prospect, state), prospect.followers
    score = own.score / max(own.score.sum(), 1e-9)
    found, place = positions(followers.item_idx, own.item_idx)
    score[found] += RULES_SHARE * followers.score[place] / max(followers.score.sum(), 1e-9)
    return own.scored(score)


def by_neighbours(model: TifuKnn, most: int = 1_000) -> Row:
    """Return the ranking of a fitted TIFU-KNN, of all items of the catalogue; the list ends after the `most` best."""

    def rank(prospect: Prospect, state: ItemState) -> Candidates:
        history = prospect.history
        score = model.scores([history.item_idx], [history.order_idx])[0]
        items = np.argpartition(-score, min(most, len(score) - 1))[:most]
        return Candidates(item_idx=items, source=np.zeros(len(items), np.uint8), score=score[items])

    return rank


RULES, TIFU = "sequential rules", "TIFU-KNN"
OTHERS: dict[str, Row] = {
    "popularity": popularity,
    RULES: sequential_rules,
    "personal top": personal_top,
    "personal top, decayed": decayed_top,
    "personal top, decayed, and rules": decayed_top_with_rules,
}
DISCOVERING = (RULES, "popularity", TIFU)  # rows that have a list of new items, too


def basket_rows(state: ItemState, ranker: Ranker, tifu: TifuKnn, k: int, n_new: int) -> dict[str, Lists]:
    """Return the engine as it is, for discovery and mixed, then the baselines, some for discovery too."""
    engine: dict[str, Lists] = {ENGINE: lambda _, prospects: ranked(prospects, state, ranker)}
    others = {name: each(row, state) for name, row in (OTHERS | {TIFU: by_neighbours(tifu)}).items()}
    ours = {discovery(ENGINE): of_new(engine[ENGINE]), mixture(n_new, k): mixed(engine[ENGINE], k, n_new)}
    return engine | ours | others | {discovery(name): of_new(others[name]) for name in DISCOVERING}


def discovery(name: str) -> str:
    """Return the name of a row's list of new items."""
    return f"{name}, new items only"


def mixture(n_new: int, k: int) -> str:
    """Return the name of the engine's mixed list."""
    return f"{ENGINE}, {n_new} of {k} new"


def of_new(lists: Lists) -> Lists:
    """Return a way of ranking only what the shopper never had."""

    def rank(lookup: Lookup, prospects: list[Prospect]) -> list[Candidates]:
        found = lists(lookup, lookup.prospects(keep_seen=False))
        return [
            one.keep(~np.isin(one.item_idx, history.item_idx))
            for one, history in zip(found, lookup.histories, strict=True)
        ]

    return rank


def mixed(lists: Lists, k: int, n_new: int) -> Lists:
    """Return lists of k, at least n_new of them new to the shopper."""

    def rank(lookup: Lookup, prospects: list[Prospect]) -> list[Candidates]:
        found = lists(lookup, prospects)
        return [
            best_mixed(one, k, history.item_idx, n_new) for one, history in zip(found, lookup.histories, strict=True)
        ]

    return rank
