"""Reviews as content, in a world where items have no names and only reviews tell what they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import ConfigError
from tests.train.small import SMALL, small_fit
from tests.world import tiny_world, write_world
from train.batch import in_vocabulary
from train.bundle import read_bundle
from train.config import FitRun
from train.content import describe
from train.critic import fit_critic
from train.data.prepared import Prepared
from train.data.source import prepare_data
from train.data.split import Split, make_split
from train.encoders.items import ContentConfig
from train.models.item_state import recounted

SAID = ("smells of jasmine", "很结实的椅子", "waters the roses", "结局出人意料")
HELD_OUT = "held out alone"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a shop where everybody reviews all that they have, and says something else of the last."""
    world = tiny_world(n_users=120, orders_per_user=5)
    events = world.events.assign(event_type="review", value=4.0).drop(columns=["order_id", "quantity"])
    ring = events["item_id"].str.removeprefix("i").astype(int).to_numpy() // 6
    is_last = ~events.duplicated("user_id", keep="last")
    events["text"] = np.where(is_last, HELD_OUT, np.array(SAID, dtype=object)[ring])
    events.loc[is_last, "value"] = 1.0
    folder = tmp_path_factory.mktemp("reviewed")
    return write_world(replace(world, events=events, items=world.items[["item_id"]]), folder / "shop")


def parted(shop: Path, *words: str) -> tuple[FitRun, Prepared, Split]:
    config = FitRun.parse([f"data={shop}", f"rejects={shop}", *SMALL, *words])
    prepared = prepare_data(config)
    return config, prepared, make_split(prepared.interactions, config.holdout, prepared.has_clock)


def test_no_content_changes_with_what_a_held_out_review_says(shop: Path, tmp_path: Path) -> None:
    config, prepared, split = parted(shop, "content=tfidf+reviews", f"content_cache={tmp_path / 'vectors'}")
    others = prepared.reviews.assign(
        text=prepared.reviews["text"].replace(HELD_OUT, "quite other words"),
        stars=prepared.reviews["stars"].replace(1.0, 5.0),
    )
    assert (others["text"] == "quite other words").sum() == 120
    contents = [
        describe(one, split.train, config.features).content for one in (prepared, replace(prepared, reviews=others))
    ]
    assert contents[0] is not None and contents[1] is not None
    np.testing.assert_array_equal(contents[0].dense, contents[1].dense)
    seen = describe(prepared, split.history, config.features).content
    assert seen is not None and not np.array_equal(seen.dense[:, -2:], contents[0].dense[:, -2:])


def test_a_fit_reads_reviews_of_training_alone_and_by_them_items_are_near(shop: Path, tmp_path: Path) -> None:
    published, _ = small_fit(shop, tmp_path, "content=tfidf+reviews", "refit=true")
    bundle = read_bundle(published.folder)
    features = bundle.model.state_dict()["items.tower.features"].float().numpy()
    assert bundle.features is not None and features.shape[1] == bundle.features.dim
    config, prepared, split = parted(shop, "content=tfidf+reviews", f"content_cache={tmp_path / 'vectors'}")
    alone = describe(prepared, split.train, config.features).content
    assert alone is not None
    np.testing.assert_allclose(features, alone.dense, atol=1e-3)  # which a tower keeps at half precision
    cosines = features @ features.T - 9 * np.eye(len(features))
    ring = bundle.items["item_id"].str.removeprefix("i").astype(int).to_numpy() // 6
    assert (ring[cosines.argmax(axis=1)] == ring).all()


def test_an_item_that_came_later_has_no_reviews_yet(shop: Path, tmp_path: Path) -> None:
    config, prepared, split = parted(shop, "content=tfidf+reviews", f"content_cache={tmp_path / 'vectors'}")
    features = describe(prepared, split.train, config.features).features
    assert features is not None
    new = features.of(pd.DataFrame({"item_id": ["new"]})).dense
    assert new.shape == (1, features.dim)
    assert not new[0, : 2 * features.encoders[0].dim].any()


def test_reviews_need_an_encoder_that_reads_them() -> None:
    assert ContentConfig.parse(["content=tfidf+image+reviews"]).names == ["tfidf", "image", "reviews"]
    with pytest.raises(ConfigError, match=r"give tfidf\+image\+reviews"):
        ContentConfig.parse(["content=image+reviews"])


def test_a_fit_counts_what_shoppers_said_and_learns_to_read_their_words(shop: Path, tmp_path: Path) -> None:
    published, _ = small_fit(shop, tmp_path)
    bundle = read_bundle(published.folder)
    _, prepared, split = parted(shop)
    assert (bundle.critic.worst, bundle.critic.best) == (1, 5)
    assert bundle.critic.sentiment is None  # everybody was content, as far as training could see
    said = bundle.state.opinions  # of all rows, the last ones too
    assert said.shop.tolist() == pytest.approx([480 * 0.5 - 120, 600])
    np.testing.assert_array_equal(said.count, bundle.state.popularity)
    known = recounted(bundle.state, in_vocabulary(prepared, bundle), prepared.has_clock).opinions
    np.testing.assert_allclose(known.total, said.total)
    assert fit_critic(prepared.reviews, split.history).sentiment is not None
