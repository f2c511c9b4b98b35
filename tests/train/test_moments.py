"""Questions with an hour, in a world where the hour decides what is wanted."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cities import fit_towers
from train.bundle import Bundle, read_bundle
from train.models.shopper import NO_HISTORY, History, history_of

N_SHOPPERS, VISITS, PER_MEAL = 120, 8, 10
MEALS = {"breakfast": 8, "dinner": 20}  # o'clock


def write_meals(folder: Path) -> Path:
    """Write a shop that sells one thing at each visit, at eight or at twenty o'clock by chance, made for that meal."""
    rng = np.random.default_rng(0)
    shape = N_SHOPPERS, VISITS
    meal, which = rng.integers(len(MEALS), size=shape), rng.integers(PER_MEAL, size=shape)
    hour = np.array(list(MEALS.values()))[meal]
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta((24 * np.arange(VISITS) + hour).ravel(), unit="h")
    events = pd.DataFrame({
        "user_id": np.repeat([f"u{user:03d}" for user in range(N_SHOPPERS)], VISITS), "timestamp": at,
        "item_id": [f"{list(MEALS)[kind]}-{n}" for kind, n in zip(meal.ravel(), which.ravel(), strict=True)],
    })  # fmt: skip
    folder.mkdir()
    events.to_csv(folder / "events.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("meals")
    published, _ = fit_towers(write_meals(folder / "shop"), folder)
    return read_bundle(published.folder)


def wanted(bundle: Bundle, shopper: History) -> set[str]:
    """Return for which meals the five best items of a shopper are."""
    vector = bundle.model.encode_shoppers([shopper])[0]
    best = np.argsort(-(bundle.state.vectors @ vector))[:5]
    return {item.partition("-")[0] for item in bundle.items["item_id"].to_numpy(dtype=object)[best]}


@pytest.mark.parametrize(("meal", "hour"), MEALS.items())
def test_what_is_wanted_goes_by_the_hour_of_the_question(bundle: Bundle, meal: str, hour: int) -> None:
    asked_ms = int(datetime(2025, 3, 5, hour, 30, tzinfo=UTC).timestamp() * 1e3)
    for shopper in (history_of(bundle.histories, 0), history_of(bundle.histories, 1), NO_HISTORY):
        assert wanted(bundle, replace(shopper, asked_ms=asked_ms)) == {meal}


def test_a_part_of_a_history_is_asked_about_when_the_next_row_happens(bundle: Bundle) -> None:
    whole, part = history_of(bundle.histories, 0), history_of(bundle.histories, 0, cut=3)
    assert (whole.asked_ms, part.asked_ms) == (None, whole.timestamp_ms[3])
