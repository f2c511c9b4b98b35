"""The critic: reads how good a shopper says an item is, from stars and, where there are none, from words."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from train.data.schema import Interactions
from train.data.steps.events import VALUED_TYPES
from train.encoders.sentiment import Sentiment, fit_sentiment

FILE = "critic.safetensors"
SCALES = ((0.0, 1.0), (1.0, 5.0), (1.0, 10.0), (0.0, 100.0))  # usual ones of stars, worst and best
STARS = SCALES[1]  # where nobody gave any
MIN_REVIEWS = 200  # with text and stars, before words are read
MIN_SIDE = 20  # of these, good and bad ones each


@dataclass(frozen=True, kw_only=True)
class Critic:
    """An opinion lies between −1 and 1, and is missing where nothing is said that can be read."""

    worst: float = STARS[0]  # stars
    best: float = STARS[1]
    sentiment: Sentiment | None = None  # without one, a text says nothing

    def of(self, event_type: str, value: float | None, text: str | None) -> float | None:
        """Return the opinion of an event."""
        if event_type not in VALUED_TYPES:
            return None
        if value is not None:
            return float(self.of_stars(np.array(value)))
        return self.sentiment.of(text) if self.sentiment and text else None

    def of_stars(self, stars: np.ndarray) -> np.ndarray:
        """Return opinions of stars; NaN stays what it is."""
        return np.clip(2 * (stars - self.worst) / (self.best - self.worst) - 1, -1, 1)

    def told(self, interactions: Interactions, reviews: pd.DataFrame) -> Interactions:
        """Return a history that carries opinions; reviews: what its `review_idx` points into."""
        if interactions.review_idx is None:
            return interactions
        used = np.unique(interactions.review_idx[interactions.review_idx >= 0])
        opinion = np.full(len(reviews) + 1, np.nan, np.float32)  # the last one is of rows that are no review
        opinion[used] = self.of_stars(reviews["stars"].to_numpy(float)[used])
        if self.sentiment is not None:
            texts = reviews["text"].to_numpy(object)
            for row in used[np.isnan(opinion[used]) & pd.notna(texts[used])].tolist():
                opinion[row] = self.sentiment.of(texts[row])  # None is NaN
        return replace(interactions, opinion=opinion[interactions.review_idx])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all of it by name."""
        words = {"weight": self.sentiment.weight, "bias": np.array([self.sentiment.bias])} if self.sentiment else {}
        return {"stars": np.array([self.worst, self.best])} | words

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Critic":
        """Return the critic that `arrays` told of."""
        worst, best = arrays["stars"].tolist()
        weight: Any = arrays.get("weight")
        sentiment = None if weight is None else Sentiment(weight=weight, bias=float(arrays["bias"][0]))
        return cls(worst=worst, best=best, sentiment=sentiment)


def fit_critic(reviews: pd.DataFrame, train: Interactions, seed: int = 0) -> Critic:
    """Return what reads opinions as this shop's shoppers write them; train: rows that may be learned from."""
    if train.review_idx is None:
        return Critic()
    told = reviews.iloc[train.review_idx[train.review_idx >= 0]].dropna(subset="stars")
    most = told["stars"].max()
    worst, best = next((scale for scale in SCALES if most <= scale[1]), STARS) if len(told) else STARS
    critic = Critic(worst=worst, best=best)
    both = told.dropna(subset="text")
    opinions = critic.of_stars(both["stars"].to_numpy(float))
    if len(both) < MIN_REVIEWS or min((opinions > 0).sum(), (opinions < 0).sum()) < MIN_SIDE:
        return critic
    return replace(critic, sentiment=fit_sentiment(both["text"].tolist(), opinions, seed))
