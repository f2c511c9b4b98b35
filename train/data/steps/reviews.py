"""What shoppers say of items they had: a text, stars, or both."""

import numpy as np
import pandas as pd

from cluster.errors import DataError
from train.data.columns import as_texts
from train.data.schema import Interactions
from train.data.steps.events import VALUED_TYPES

LONGEST = 400  # characters of one review, so that none crowds out the others
NEWEST = 20  # texts of an item; where a text becomes too long, what was said of an older make goes first


def no_reviews() -> pd.DataFrame:
    """Return a table of reviews without a row."""
    return pd.DataFrame({"text": pd.Series(dtype="str"), "stars": pd.Series(dtype=float)})


def plain_reviews(events: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return `text` and `stars` of the events that are a review, and the row of that table for each event, −1 for none.

    events: checked ones; those of a type in VALUED_TYPES with a text or a value are reviews.
    """
    rated = events[events["event_type"].isin(VALUED_TYPES)]
    texts = as_texts(rated["text"]).str.slice(0, LONGEST) if "text" in rated else None
    reviews = pd.DataFrame({"text": texts, "stars": rated.get("value")}, index=rated.index).dropna(how="all")
    review_idx = np.full(len(events), -1)
    review_idx[reviews.index] = np.arange(len(reviews))
    return reviews.astype({"text": "str", "stars": float}).reset_index(drop=True), review_idx


def reviews_of_items(reviews: pd.DataFrame, train: Interactions, n_items: int) -> pd.DataFrame:
    """Return `reviews`, the newest texts first, and `stars`, their mean, for each item; missing where there are none.

    train: rows that may be learned from; what other rows say is not read.
    """
    rows = np.flatnonzero(train.review_idx >= 0) if train.review_idx is not None else []
    if train.review_idx is None or not len(rows):
        raise DataError(
            "content=…+reviews needs reviews, but no event that is trained on is one; give events of the type review "
            "or rating a text or a value, or leave reviews out"
        )
    newest = rows[np.argsort(-train.timestamp_ms[rows], kind="stable")]
    told = reviews.iloc[train.review_idx[newest]].assign(item_idx=train.item_idx[newest])
    texts = told.dropna(subset="text")
    texts = texts[texts.groupby("item_idx").cumcount() < NEWEST]
    joined = texts.groupby("item_idx")["text"].agg(" . ".join)
    stars = told.groupby("item_idx")["stars"].mean()
    return pd.DataFrame({"reviews": joined, "stars": stars}, index=pd.RangeIndex(n_items))
