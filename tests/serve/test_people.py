"""What shoppers may ask of a shop, over HTTP: an export, an erasure, one history for a guest and an account."""

from urllib.parse import quote

import pytest

from tests.serve.shop import KNOWN, Shop


def test_an_export_holds_the_events_and_the_history(shop: Shop) -> None:
    before = shop.history(KNOWN)
    shop.click(KNOWN, "i0003", id="e1", orderId="o1", price=4.5, time=1_800_000_000_000)
    answer = shop.client.get(f"/v1/users/{KNOWN}/export")
    assert answer.status_code == 200
    [event] = answer.json()["events"]
    assert (event["id"], event["item"], event["orderId"], event["more"]["price"]) == ("e1", "i0003", "o1", 4.5)
    assert [row["item"] for row in answer.json()["history"]] == [*before, "i0003"]


def test_an_export_holds_what_was_refused_and_an_erasure_takes_it_away(shop: Shop) -> None:
    sent = {"type": "click", "user": "new", "item": "later", "id": "e1", "time": 1_700_000_000_000, "price": 4.5}
    assert shop.client.post("/v1/events", json=sent).status_code == 422
    shop.client.post("/v1/events", json={"type": "click", "item": "i0003", "id": "nobody's"})
    [refused] = shop.client.get("/v1/users/new/export").json()["refused"]
    assert "'later' is not in the catalogue" in refused["reason"]
    time = refused["event"].pop("time")
    assert (refused["event"], time) == ({key: sent[key] for key in sent if key != "time"}, "2023-11-14T22:13:20Z")
    shop.client.delete("/v1/users/new")
    assert shop.client.get("/v1/users/new/export").json()["refused"] == []


@pytest.mark.parametrize("user", [KNOWN, "new", "a/b", "ü 1", "x/export", "x:merge"])
def test_an_erased_shopper_is_a_stranger(shop: Shop, user: str) -> None:
    shop.click(user, "i0003")
    answer = shop.client.delete(f"/v1/users/{quote(user, safe='')}")
    assert answer.status_code == 200
    assert (answer.json()["user"], answer.json()["erasedEvents"]) == (user, 1)
    assert shop.history(user) == []
    assert shop.client.get(f"/v1/users/{quote(user, safe='')}/export").json()["events"] == []


def test_a_replica_forgets_whom_the_store_forgot(shop: Shop) -> None:
    version = shop.click("new", "i0003")
    assert shop.slate(user="new", minVersion=version)["fallback"] == "none"
    shop.client.delete("/v1/users/new")
    shop.portal.call(shop.store.caught_up)
    shop.portal.call(shop.in_step)
    slate = shop.slate(user="new")
    assert slate["fallback"] == "popular"


def test_events_go_on_right_after_an_erasure(shop: Shop) -> None:
    shop.click("new", "i0003")
    for turn in range(5):
        shop.client.delete("/v1/users/new")
        assert shop.click(f"other{turn}", "i0004") > 0


def test_a_guest_joins_an_account_and_parts_again(shop: Shop) -> None:
    shop.click("guest", "i0003")
    merged = shop.post("/v1/users/account:merge", source="guest")
    slate = shop.slate(user="account", minVersion=merged["version"])
    assert slate["stateVersion"] >= merged["version"]
    assert slate["fallback"] == "none"
    assert (shop.history("account"), shop.history("guest")) == (["i0003"], [])
    assert shop.post("/v1/users/account:unmerge", source="guest")["version"] is None
    shop.portal.call(shop.store.caught_up)
    assert (shop.history("account"), shop.history("guest")) == ([], ["i0003"])


def test_what_cannot_be_merged_says_why(shop: Shop) -> None:
    answer = shop.client.post("/v1/users/account:merge", json={"source": "account"})
    assert (answer.status_code, "into itself" in answer.json()["detail"]) == (422, True)
    answer = shop.client.post("/v1/users/account:unmerge", json={"source": "guest"})
    assert (answer.status_code, "never merged" in answer.json()["detail"]) == (404, True)
    assert shop.client.post("/v1/users/account:merge", json={}).status_code == 400
    assert shop.client.post("/v1/users/account:merge", content=b"[").status_code == 400
    assert shop.client.delete("/v1/users/" + "x" * 129).status_code == 400
    assert shop.client.delete("/v1/users/a%00b").status_code == 400


@pytest.mark.parametrize("field", ["id", "type"])
def test_the_stores_own_names_are_reserved(shop: Shop, field: str) -> None:
    body = {"type": "click", "user": "u", "item": "i0003"} | {field: "$merge"}
    answer = shop.client.post("/v1/events", json=body)
    assert (answer.status_code, "begins with $" in answer.json()["detail"]) == (422, True)


def test_without_the_store_nothing_is_promised(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.store.away = True
    answer = shop.client.delete("/v1/users/somebody")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "somebody" not in caplog.text
    assert "/v1/users/{user_id:path}" in caplog.text


def test_nobody_is_erased_without_making_the_state_anew(shop: Shop) -> None:
    shop.click("somebody", "i0003")
    before = shop.store.position
    assert shop.client.delete("/v1/users/nobody").json()["revision"] == 0
    assert shop.store.position == before
