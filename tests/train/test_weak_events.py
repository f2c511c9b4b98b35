"""Events that say little are read, and neither aimed at nor asked for, where they are worth less than asked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.train.small import small_fit
from tests.world import tiny_world, write_world
from train.data.schema import Tables

DECOY = "decoy"


def distracted_world() -> Tables:
    """The tiny world whose shoppers look at a decoy after each order."""
    tables = tiny_world(n_users=80, orders_per_user=5)
    views = tables.events.assign(
        item_id=DECOY, event_type="view", order_id=None, timestamp=tables.events["timestamp"] + pd.Timedelta(minutes=1)
    )
    items = pd.concat([tables.items, pd.DataFrame({"item_id": [DECOY], "title": ["A decoy"]})], ignore_index=True)
    return replace(tables, items=items, events=pd.concat([tables.events, views], ignore_index=True))


@pytest.mark.parametrize(("words", "expected"), [(["target_weight=2"], False), ([], True)])
def test_views_are_foretold_unless_orders_alone_are_aimed_at(words: list[str], expected: bool, tmp_path: Path) -> None:
    data = write_world(distracted_world(), tmp_path / "world")
    published, prepared = small_fit(data, tmp_path, "epochs=30", "keep_seen=true", *words)
    decoy, history = prepared.catalogue.index[DECOY], prepared.interactions
    assert (history.items_of(0)[1::2] == decoy).all()
    after_an_order = [history.items_of(user)[:7] for user in range(history.n_users)]
    best = published.bundle.model.scores(after_an_order).argmax(axis=1)
    assert np.mean(best == decoy) == pytest.approx(float(expected), abs=0.1)
