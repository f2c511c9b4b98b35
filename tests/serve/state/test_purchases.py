"""What each shopper bought and kept, whatever else they and others did, and however far a replica is."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.state.events import MERGE, Row
from serve.state.purchases import NO_PURCHASES, Purchases
from serve.state.shoppers import AllShoppers, CachedShoppers, Shopper
from tests.serve.state.state_world import CUTOFF_MS, small_bundle
from train.models.shopper import MAX_HISTORY

USERS = [f"u{index}" for index in range(8)]  # the first half of them known to the bundle


def told(purchases: Purchases) -> list[tuple[int, int]]:
    return list(zip(purchases.item_idx.tolist(), purchases.timestamp_ms.tolist(), strict=True))


class Step(NamedTuple):
    """Something that happens to a shopper."""

    user: str
    what: str  # a type of event, or MERGE
    item: int
    time: int
    guest: str


STEPS = st.lists(
    st.builds(
        Step, user=st.sampled_from(USERS), what=st.sampled_from(["click", "purchase", "purchase", "return", MERGE]),
        item=st.integers(0, 3), time=st.integers(0, 9), guest=st.sampled_from(USERS),
    ),
    max_size=40,
)  # fmt: skip


def rows(steps: list[Step]) -> Iterator[Row]:
    weights = {"click": 1.0, "purchase": 5.0, "return": -3.0, MERGE: 0.0}
    for seq, step in enumerate(steps, start=1):
        key = step.guest if step.what == MERGE else ""
        yield Row(seq, step.item, CUTOFF_MS + step.time, key, False, step.what, weights[step.what])


def slow(steps: list[Step]) -> dict[str, list[tuple[int, int]]]:
    """Return what everybody bought and kept, by looking at one event after the other."""
    histories = small_bundle().histories
    assert histories.kept is not None
    own: dict[str, list[tuple[int, int]]] = {user: [] for user in USERS}
    for row in np.flatnonzero(histories.kept).tolist():
        user = str(histories.user_ids[histories.user_idx[row]])
        own[user].append((int(histories.item_idx[row]), int(histories.timestamp_ms[row])))
    for step in steps:
        mine = own[step.user]
        if step.what == "purchase":
            mine.append((step.item, CUTOFF_MS + step.time))
        elif step.what == "return":
            same = [place for place, (item, _) in enumerate(mine) if item == step.item]
            if same:
                del mine[same[-1]]
        elif step.what == MERGE and step.user != step.guest:
            own[step.user] = sorted(own[step.guest] + mine, key=lambda one: one[1])
            own[step.guest] = []
    return own


def happen(shoppers: AllShoppers, steps: list[Step]) -> None:
    for step, row in zip(steps, rows(steps), strict=True):
        if step.what != MERGE:
            shoppers.append(step.user, row)
        elif step.user != step.guest:
            shoppers.merge(step.user, row)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_purchases_are_what_looking_at_every_event_finds(steps: list[Step]) -> None:
    shoppers = AllShoppers(small_bundle().histories)
    happen(shoppers, steps)
    assert {user: told(shoppers.get(user).bought) for user in USERS} == slow(steps)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, ahead=st.integers(0, 40), behind=st.integers(0, 40))
def test_a_replica_has_the_purchases_however_far_it_is_from_the_store(
    steps: list[Step], ahead: int, behind: int
) -> None:
    """It hears of events that the store's answer has already, and of those that come later, before or after it."""
    steps = [step._replace(user="u0", what="click" if step.what == MERGE else step.what) for step in steps]
    store, replica = AllShoppers(small_bundle().histories), CachedShoppers(4)
    answered = len(steps) - min(len(steps), ahead)
    happen(store, steps[:answered])
    answer, held, heard = store.get("u0"), replica.expect("u0"), list(rows(steps))[max(0, answered - behind) :]
    for row in heard[: len(heard) // 2]:
        replica.append("u0", row)
    replica.put("u0", answer, held)
    for row in heard[len(heard) // 2 :]:
        replica.append("u0", row)
    shopper = replica.get("u0")
    assert shopper is not None
    assert told(shopper.bought) == slow(steps)["u0"]


def test_clicks_push_no_purchase_out_and_purchases_the_oldest_one() -> None:
    def row(seq: int, item_idx: int, kind: str) -> Row:
        return Row(seq, item_idx, seq, "", False, kind, 1.0)

    shopper = Shopper().appended(row(1, 7, "purchase"))
    for seq in range(2, MAX_HISTORY + 2):
        shopper = shopper.appended(row(seq, 1, "click"))
    assert 7 not in shopper.history.item_idx
    assert told(shopper.bought) == [(7, 1)]
    for seq in range(2, MAX_HISTORY + 2):
        shopper = shopper.appended(row(seq, 2, "purchase"))
    assert len(shopper.bought) == MAX_HISTORY
    assert 7 not in shopper.bought.item_idx


def test_joined_purchases_are_the_newest_of_both() -> None:
    many = Purchases(item_idx=np.arange(MAX_HISTORY), timestamp_ms=np.arange(MAX_HISTORY))
    one = Purchases(item_idx=np.array([5_000]), timestamp_ms=np.array([10]))
    found = many.joined(one)
    assert len(found) == MAX_HISTORY
    assert told(found)[:11] == [(item, item) for item in range(1, 10)] + [(5_000, 10), (10, 10)]
    assert told(many.joined(NO_PURCHASES)) == told(NO_PURCHASES.joined(many)) == told(many)
