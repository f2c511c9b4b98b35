"""A generated shop where the city of a shopper decides what they want, for the two-tower model."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.train.small import small_words
from train.config import FitRun
from train.data.prepared import Prepared
from train.data.source import prepare_data
from train.pipeline import Published, fit_bundle

CITIES = ("Oslo", "Lima", "Cairo")
SHARES = (0.6, 0.2, 0.2)  # of shoppers, so that popularity speaks for one city alone
N_USERS, N_COLD, PER_CITY = 150, 30, 10
WORDS = (
    "kind=two_tower",
    "epochs=10",
    "hidden_dim=32",
    "embedding_dropout=0",
    "history_dropout=0.3",
    "learning_rate=0.02",
)


def users_of(rng: np.random.Generator) -> pd.DataFrame:
    """A city decides what a shopper wants; age says nothing and is not always known."""
    city = rng.choice(len(CITIES), N_USERS + N_COLD, p=SHARES)
    age = np.where(rng.random(len(city)) < 0.8, rng.integers(18, 80, len(city)), np.nan)
    return pd.DataFrame({
        "user_id": [f"u{user:03d}" for user in range(len(city))], "city": [CITIES[place] for place in city], "age": age
    })  # fmt: skip


def write_cities(folder: Path) -> Path:
    """Write a shop whose shoppers want the ten things of their city, in any order; the last of them had none yet."""
    rng = np.random.default_rng(0)
    users = users_of(rng)
    bought = [rng.permutation(PER_CITY)[:6] for _ in range(N_USERS)]
    events = pd.DataFrame({
        "user_id": np.repeat(users["user_id"][:N_USERS], 6),
        "item_id": [f"{city}-{n}" for city, had in zip(users["city"], bought, strict=False) for n in had],
        "timestamp": np.tile(pd.date_range("2024-01-01", periods=6, tz="UTC"), N_USERS),
    })  # fmt: skip
    folder.mkdir()
    events.to_csv(folder / "events.csv", index=False)
    users.to_csv(folder / "users.csv", index=False)
    return folder


def fit_towers(data: Path, folder: Path, *words: str) -> tuple[Published, Prepared]:
    """Fit the two-tower model; small settings that it does not know are left out."""
    known = [word for word in small_words(data, folder, *WORDS, *words) if not word.startswith("feedforward_dim")]
    config = FitRun.parse(known)
    prepared = prepare_data(config)
    return fit_bundle(config, prepared), prepared
