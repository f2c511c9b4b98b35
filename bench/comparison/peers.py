"""Rows of simple recommenders that share no code with the engine, fitted on all that a shopper may be asked with."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.comparison.held_out import HeldOut
from bench.comparison.ranks import Ranks, metrics
from bench.peers.recommenders import Sequences, popularity_scores, rule_matrix, rule_scores
from bench.score import half_way_rank
from cluster.errors import DataError

MOST_EVENTS = 1_000_000  # plain counting of more takes minutes and gigabytes

Fit = Callable[[Sequences, int], Callable[[Sequences], Iterator[np.ndarray]]]


def fit_popularity(sequences: Sequences, n_items: int) -> Callable[[Sequences], Iterator[np.ndarray]]:
    """Return what gives every history the same scores."""
    popular = popularity_scores(sequences, n_items)
    return lambda histories: (popular.copy() for _ in histories)


def fit_rules(sequences: Sequences, n_items: int) -> Callable[[Sequences], Iterator[np.ndarray]]:
    """Return what scores histories by rules."""
    rules = rule_matrix(sequences, n_items)
    return lambda histories: rule_scores(histories, rules)


PEERS: dict[str, Fit] = {"popularity": fit_popularity, "sequential rules": fit_rules}


def measure_peer(fit: Fit, held: HeldOut) -> dict[str, Any]:
    """Return how a peer does; nothing is chosen, so it may read the validation items, too."""
    history, n_items = held.visible.interactions, held.visible.catalogue.n_items
    if len(history) > MOST_EVENTS:
        raise DataError(f"counts {len(history):,} events one by one; {MOST_EVENTS:,} are the most")
    began = time.process_time()
    sequences: Sequences = [history.items_of(user).tolist() for user in range(history.n_users)]
    score = fit(sequences, n_items)
    fitted = time.process_time()
    asked = [sequences[user] for user in held.user_idx]
    filtered, kept = [], []
    for scores, seen, truth in zip(score(asked), asked, held.truth, strict=True):
        kept.append(half_way_rank(scores, float(scores[truth])))
        scores[seen] = float("-inf")
        filtered.append(np.inf if truth in seen else half_way_rank(scores, float(scores[truth])))
    return metrics(Ranks(filtered=np.array(filtered), kept=np.array(kept))) | {
        "chosen": {}, "fit_cpu_s": round(fitted - began, 1),
        "evaluate_cpu_s": round(time.process_time() - fitted, 1),
    }  # fmt: skip
