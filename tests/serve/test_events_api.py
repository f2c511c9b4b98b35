"""POST /v1/events: each event is judged by itself, and told what became of it."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.serve.shop import STRANGER, Shop, open_shop
from tests.train.encoders.test_sentiment import written
from train.critic import Critic
from train.encoders.sentiment import fit_sentiment

CLICK = {"type": "click", "user": "u", "item": "i0003"}


def test_an_id_is_made_when_missing_and_versions_count_up(shop: Shop) -> None:
    first, second = (shop.post("/v1/events", **CLICK)["results"][0] for _ in range(2))
    assert first["id"].startswith("evt_")
    assert first["id"] != second["id"]
    assert (first["version"], second["version"]) == (1, 2)


def test_the_same_id_and_content_is_a_duplicate_with_the_first_version(shop: Shop) -> None:
    shop.post("/v1/events", **CLICK)
    first = shop.post("/v1/events", id="e1", **CLICK)
    again = shop.post("/v1/events", id="e1", **CLICK)
    assert [first["applied"], again["duplicate"]] == [1, 1]
    assert again["results"][0] == first["results"][0] | {"status": "duplicate"}
    assert shop.history("u") == ["i0003", "i0003"]


@pytest.mark.parametrize("change", [{"item": "i0004"}, {"time": 5_000}, {"properties": {"a": 1}}, {"value": 2}])
def test_the_same_id_with_other_content_is_a_conflict(shop: Shop, change: dict[str, Any]) -> None:
    shop.post("/v1/events", id="e1", **CLICK)
    answer = shop.client.post("/v1/events", json={"id": "e1", **CLICK, **change})
    assert answer.status_code == 409
    assert "'e1'" in answer.json()["detail"]
    assert shop.history("u") == ["i0003"]


def test_a_bad_event_never_spoils_the_others(shop: Shop) -> None:
    shop.post("/v1/events", id="old", **CLICK)
    events = [
        {"id": "a", **CLICK},
        {"id": "unknown", **CLICK, "item": "nothing"},
        {"id": "old", **CLICK, "value": 3},
        {"id": "odd", **CLICK, "colour": "red"},
        "no event",
        {"id": "nobody", "type": "click", "item": "i0003"},
        {"id": "itemless", "type": "click", "user": "u"},
        {"id": "old", **CLICK},
        {"id": "b", **CLICK, "item": "i0004"},
    ]
    answer = shop.post("/v1/events", events=events)
    results = answer["results"]
    assert [result["status"] for result in results] == ["applied", *["rejected"] * 6, "duplicate", "applied"]
    assert [result["version"] for result in results] == [2, *[None] * 6, 1, 3]
    assert [result["problem"] and result["problem"]["status"] for result in results] == [
        None, 422, 409, 400, 400, 422, 422, None, None,
    ]  # fmt: skip
    assert "/events/3/colour" in results[3]["problem"]["detail"]
    assert (answer["applied"], answer["duplicate"], answer["rejected"]) == (2, 1, 6)
    assert shop.history("u") == ["i0003", "i0003", "i0004"]


def test_an_unknown_item_is_422_for_one_event(shop: Shop) -> None:
    answer = shop.client.post("/v1/events", json=CLICK | {"item": "nothing"})
    assert answer.status_code == 422
    assert "'nothing'" in answer.json()["detail"]


def test_a_search_needs_no_item(shop: Shop) -> None:
    assert shop.post("/v1/events", type="search", user="u", text="red mug")["applied"] == 1
    assert shop.history("u") == []


@pytest.mark.parametrize(
    ("given", "expected_ms"),
    [
        (1_700_000_000_123, 1_700_000_000_123), ("2024-05-01T12:00:00.5Z", 1_714_564_800_500),
        ("2024-05-01T14:00:00.5+02:00", 1_714_564_800_500), ("0001-01-01T00:00:00+14:00", 0), (0, 0),
    ],
)  # fmt: skip
def test_times_are_read_as_rfc_3339_or_epoch_milliseconds(shop: Shop, given: Any, expected_ms: int) -> None:
    shop.post("/v1/events", **CLICK, time=given)
    assert shop.logged()[-1].batch.timestamp_ms.tolist() == [expected_ms]


@pytest.mark.parametrize("given", ["2099-01-01T00:00:00Z", 4_000_000_000_000, None])
def test_a_time_in_the_future_is_now(shop: Shop, given: Any) -> None:
    before_ms = int(time.time() * 1e3)
    shop.post("/v1/events", **CLICK, time=given)
    [timestamp_ms] = shop.logged()[-1].batch.timestamp_ms
    assert before_ms <= timestamp_ms <= time.time() * 1e3


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": "red"}, "/colour"), ({"time": "2024-05-01T12:00:00"}, "/time"), ({"time": "soon"}, "/time"),
        ({"time": -1}, "/time"), ({"time": 10**15}, "/time"), ({"user": ""}, "/user"), ({"user": "a\u0000"}, "/user"),
        ({"user": "e\u0301"}, "/user"), ({"item": "x" * 129}, "/item"), ({"user": 7}, "/user"),
        ({"price": -1}, "/price"), ({"currency": "euro"}, "/currency"), ({"position": 0}, "/position"),
        ({"position": 2**70}, "/position"), ({"text": "x" * 10_001}, "/text"), ({"a/b~c": 1}, "/a~1b~0c"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_pointed_at(shop: Shop, change: dict[str, Any], pointer: str) -> None:
    answer = shop.client.post("/v1/events", json=CLICK | change)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(("depth", "status"), [(10, 200), (100, 400), (900, 400), (1_500, 400)])
def test_properties_nest_only_so_deep(shop: Shop, depth: int, status: int) -> None:
    body = '{"type":"click","user":"u","item":"i0003","properties":{"a":' + "[" * depth + "]" * depth + "}}"
    assert shop.client.post("/v1/events", content=body).status_code == status


@pytest.mark.parametrize("n", [0, 501])
def test_a_batch_holds_1_to_500_events(shop: Shop, n: int) -> None:
    answer = shop.client.post("/v1/events", json={"events": [{"type": "view"}] * n})
    assert answer.status_code == 400
    assert f"not {n} events" in answer.json()["detail"]


@pytest.mark.parametrize("body", [{"events": {}}, {"events": [], "type": "click"}, [], 5, None, "click"])
def test_what_is_no_batch_and_no_event_is_refused(shop: Shop, body: Any) -> None:
    assert shop.client.post("/v1/events", json=body).status_code == 400


def test_without_the_store_writes_are_told_to_come_again(shop: Shop) -> None:
    shop.store.away = True
    answer = shop.client.post("/v1/events", json={"id": "e1", **CLICK})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    shop.store.away = False
    assert shop.post("/v1/events", id="e1", **CLICK)["applied"] == 1


def test_on_a_full_disk_writes_are_507_and_reads_go_on_until_there_is_space(registry: Path, tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(b"x" * 800_000)
    with open_shop(registry, tiny_disk / "data") as shop:
        full = [{"id": f"e{n}", **CLICK, "properties": {"text": "x" * 4_000}} for n in range(500)]
        statuses = [shop.client.post("/v1/events", json=event).status_code for event in full]
        assert set(statuses) == {200, 507}
        acked = statuses.count(200)
        assert len(shop.history("u")) == acked
        assert shop.slate(user="u")["degraded"] == []
        (tiny_disk / "ballast").unlink()
        again = shop.post("/v1/events", **full[statuses.index(507)])
        assert (again["applied"], again["results"][0]["version"]) == (1, acked + 1)


def test_a_closed_store_is_away_too(shop: Shop) -> None:
    shop.portal.call(shop.store.close)
    answer = shop.client.post("/v1/events", json=CLICK)
    assert answer.status_code == 503
    shop.engine.view._state.marks.add(STRANGER)  # as by an event that another replica took
    assert shop.slate(user=STRANGER)["degraded"] == ["history"]


def test_500_events_at_once_are_applied_in_order(shop: Shop) -> None:
    items = [f"i{n % 24:04d}" for n in range(500)]
    answer = shop.post(
        "/v1/events", events=[{"type": "view", "user": f"u{n % 7}", "item": items[n]} for n in range(500)]
    )
    assert answer["applied"] == 500
    assert [result["version"] for result in answer["results"]] == list(range(1, 501))
    assert shop.history("u3") == items[3::7]


def test_stars_and_words_move_what_is_thought_of_an_item(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        texts, opinions = written(600, seed=0)
        object.__setattr__(shop.bundle, "critic", Critic(sentiment=fit_sentiment(texts, opinions)))
        said = shop.engine.view.items.opinions
        index = shop.engine.index
        for number, (stars, text) in enumerate([(5, None), (1, "superb"), (None, "broken"), (None, "superb")]):
            review = {"value": stars, "text": text}
            told = {name: value for name, value in review.items() if value is not None}
            shop.post("/v1/events", type="review", user=f"critic{number}", item=f"i000{number}", **told)
        totals = said.total[[index[f"i000{number}"] for number in range(4)]]
        assert (totals > 0).tolist() == [True, False, False, True]
        assert (totals != 0).all()
        shop.post("/v1/events", type="click", user="critic", item="i0005", value=5)
        assert said.count[index["i0005"]] == 0


def test_less_than_nothing_is_no_quantity(shop: Shop) -> None:
    body = {"type": "purchase", "user": "u", "item": "i0003", "quantity": -1}
    answer = shop.client.post("/v1/events", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/quantity")
    assert shop.client.post("/v1/events", json=body | {"quantity": 0}).status_code == 200
