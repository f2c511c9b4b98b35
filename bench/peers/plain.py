"""What a user would write instead: one uvicorn application with FastAPI, FAISS and torch over the same bundle.

It learns from nothing, keeps nothing, filters nothing and knows no rules: the floor of what an answer costs. With
PLAIN_RANKED=1 it ranks as we do, too, by the bundle's ranker over the same features, so that its answers are as good
as those of a server that has just started.

    PLAIN_BUNDLE=<folder> [PLAIN_RANKED=1] uvicorn bench.peers.plain:application --factory --workers 2
"""

import os
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from fastapi import FastAPI
from pydantic import BaseModel

from train.bundle import Bundle, read_bundle
from train.models.candidates import gather
from train.models.prospect import Prospect
from train.models.shopper import MAX_HISTORY, NO_HISTORY, History, history_of
from train.recommender import ranked

EXACT_BELOW = 200_000  # items; above them a user would take an inverted file
N_LISTS, N_PROBE = 1_024, 16
NOTHING = np.empty(0, np.int64)


class Body(BaseModel):
    """A wish for a slate."""

    user: str
    count: int = 20


class Answer(BaseModel):
    """A slate."""

    items: list[str]
    scores: list[float]


class Recommender:
    """Everything in memory, and nothing ever changes."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle, state = bundle, bundle.state
        self.item_ids: list[str] = bundle.items["item_id"].tolist()
        self._row = {user_id: row for row, user_id in enumerate(bundle.histories.user_ids)}
        self._index = index_of(np.ascontiguousarray(state.vectors, np.float32))
        self._popular = np.argsort(-state.recent, kind="stable")[: bundle.sources.popular + MAX_HISTORY]

    def nearest(self, user_id: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest items and their inner products, best first."""
        return self._search(self._encoded(self._history(user_id)), count)

    def ranked(self, user_id: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best items of every source by the bundle's ranker, and their scores."""
        history, state, sources = self._history(user_id), self._bundle.state, self._bundle.sources
        vector = self._encoded(history)
        items, _ = self._search(vector, sources.sequence)
        followers = state.transitions.followers(history.item_idx)
        [found] = gather(items[None], [followers], [history], self._popular, [NOTHING], sources)
        prospect = Prospect(history=history, vector=vector, followers=followers, candidates=found)
        best = ranked([prospect], state, self._bundle.ranker)[0].best(count)
        return best.item_idx, best.score

    def _history(self, user_id: str) -> History:
        row = self._row.get(user_id)
        return NO_HISTORY if row is None else history_of(self._bundle.histories, row)

    def _encoded(self, history: History) -> np.ndarray:
        return self._bundle.model.encode_shoppers([history])[0]

    def _search(self, vector: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        score, items = self._index.search(vector[None], count)
        return items[0], score[0]


def index_of(vectors: np.ndarray) -> Any:
    """Return the FAISS index that a user would take for so many vectors (n, d)."""
    n, d = vectors.shape
    index: Any = faiss.IndexFlatIP(d)
    if n >= EXACT_BELOW:
        index = faiss.IndexIVFFlat(index, d, N_LISTS, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[:: max(1, n // (40 * N_LISTS))])
        index.nprobe = N_PROBE
    index.add(vectors)
    return index


def application() -> FastAPI:
    """Return the application of one process."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    recommender = Recommender(read_bundle(Path(os.environ["PLAIN_BUNDLE"])))
    answer = recommender.ranked if os.environ.get("PLAIN_RANKED") else recommender.nearest
    api = FastAPI()

    @api.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @api.post("/v1/recommendations")
    async def recommend(body: Body) -> Answer:
        items, scores = answer(body.user, body.count)
        return Answer(items=[recommender.item_ids[item] for item in items.tolist()], scores=scores.tolist())

    return api
