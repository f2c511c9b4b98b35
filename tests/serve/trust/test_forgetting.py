"""What was shown to a person is told to them, and goes with them, wherever it is on its way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.shop import KNOWN, Shop, item_ids, open_shop
from tests.serve.state.test_erasure import LONG, traces


@pytest.fixture
def recording(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        yield shop


def test_an_export_holds_what_was_shown_to_a_person_and_to_their_guests(recording: Shop) -> None:
    slates = [recording.slate(user=user, count=3) for user in ("account", "guest", "other")]
    recording.post("/v1/users/account:merge", source="guest")
    told = recording.client.get("/v1/users/account/export").json()["decisions"]
    assert [(one["recommendationId"], item_ids(one)) for one in told] == [
        (slate["recommendationId"], item_ids(slate)) for slate in slates[:2]
    ]


def test_an_erasure_reaches_what_is_still_on_its_way(recording: Shop, tmp_path: Path) -> None:
    slate = recording.slate(user=LONG)
    recording.portal.call(recording.engine.recorder.empty)
    assert traces(tmp_path / "data", LONG)
    waiting = recording.slate(user=LONG)
    other = recording.lagging_engine(decision_share=1.0)
    late = recording.portal.call(recording.engine.recorder.find, waiting["recommendationId"])
    answer = recording.client.delete(f"/v1/users/{LONG}").json()
    assert answer["erasedDecisions"] == 2
    other.recorder._waiting[waiting["recommendationId"]] = late
    recording.portal.call(other.recorder.empty)
    assert other.recorder._waiting == {}
    for one in (slate, waiting):
        assert recording.client.get(f"/v1/decisions/{one['recommendationId']}").status_code == 404
        assert recording.client.post(f"/v1/recommendations/{one['recommendationId']}/next", json={}).status_code == 404
    assert traces(tmp_path / "data", LONG) == []


def test_what_is_shown_to_somebody_else_stays(recording: Shop) -> None:
    slate = recording.slate(user=KNOWN)
    recording.client.delete("/v1/users/other")
    assert recording.client.get(f"/v1/decisions/{slate['recommendationId']}").status_code == 200
