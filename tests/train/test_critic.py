"""Who reads what shoppers say: stars on any scale, and words where a shop's own reviews teach them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.train.encoders.test_sentiment import written
from tests.train.histories import histories_of
from train.critic import MIN_REVIEWS, Critic, fit_critic
from train.data.schema import Interactions
from train.data.steps.reviews import no_reviews

N = MIN_REVIEWS + 100


def reviewed(stars: np.ndarray, texts: list[str] | None = None) -> tuple[pd.DataFrame, Interactions]:
    """Return reviews, and a history of which each row but the first points to one."""
    table = pd.DataFrame({"text": texts or [None] * len(stars), "stars": stars})
    history = histories_of([list(range(len(stars) + 1))])
    return table, replace(history, review_idx=np.arange(-1, len(stars)))


@pytest.fixture(scope="module")
def shop() -> tuple[pd.DataFrame, Interactions]:
    texts, opinions = written(N, seed=2)
    return reviewed(3 + 2 * opinions, texts)


@pytest.fixture(scope="module")
def critic(shop: tuple[pd.DataFrame, Interactions]) -> Critic:
    return fit_critic(*shop)


@pytest.mark.parametrize(
    ("stars", "opinions"),
    [([1, 3, 5], [-1, 0, 1]), ([1, 10], [-1, 1]), ([0.5, 1], [0, 1]), ([50, 100, 90], [0, 1, 0.8])],
)
def test_the_scale_of_stars_is_the_smallest_usual_one(stars: list[float], opinions: list[float]) -> None:
    critic = fit_critic(*reviewed(np.array(stars, float)))
    assert [critic.of("rating", value, None) for value in stars] == pytest.approx(opinions)


def test_only_reviews_and_ratings_say_anything_and_stars_come_first(critic: Critic) -> None:
    assert critic.of("click", 5.0, "superb") is None
    assert critic.of("review", None, None) is None
    assert critic.of("review", 1.0, "superb superb") == -1
    good, bad = critic.of("review", None, "the mug superb"), critic.of("review", None, "the mug broken")
    assert good is not None and bad is not None and bad < -0.3 < 0.3 < good


def test_words_are_not_read_where_few_reviews_teach_them() -> None:
    texts, opinions = written(MIN_REVIEWS - 1, seed=0)
    assert fit_critic(*reviewed(3 + 2 * opinions, texts)).sentiment is None
    assert fit_critic(*reviewed(np.full(N, 5.0), written(N, seed=0)[0])).sentiment is None  # all of one mind
    assert fit_critic(no_reviews(), histories_of([[0]])) == Critic()
    assert Critic().of("review", None, "broken") is None


def test_a_history_carries_stars_and_else_what_words_say(
    shop: tuple[pd.DataFrame, Interactions], critic: Critic
) -> None:
    table, history = shop
    silent = table.assign(stars=table["stars"].where(np.arange(N) % 2 == 0))
    opinion = critic.told(history, silent).opinion
    assert opinion is not None and opinion.dtype == np.float32 and np.isnan(opinion[0])
    texts = table["text"].tolist()
    expected = [
        critic.of("review", stars if row % 2 == 0 else None, texts[row]) for row, stars in enumerate(table["stars"])
    ]
    np.testing.assert_allclose(opinion[1:], np.array(expected, float), atol=1e-6)
    assert critic.told(histories_of([[0]]), no_reviews()).opinion is None


def test_held_out_reviews_are_not_read(shop: tuple[pd.DataFrame, Interactions], critic: Critic) -> None:
    table, history = shop
    kept = np.arange(len(history)) <= MIN_REVIEWS + 50
    held = np.flatnonzero(~kept) - 1
    others = table.copy()
    others.loc[held, "text"], others.loc[held, "stars"] = "superb", 1.0
    one, other = (fit_critic(reviews, history.where(kept)) for reviews in (table, others))
    assert one.arrays().keys() == other.arrays().keys() == critic.arrays().keys()
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


def test_a_critic_comes_back_from_its_arrays(critic: Critic) -> None:
    for one in (critic, Critic(worst=0, best=1)):
        again = Critic.from_arrays(one.arrays())
        for event in (("rating", 0.5, None), ("review", None, "the mug superb")):
            assert again.of(*event) == one.of(*event)
