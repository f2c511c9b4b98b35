"""Rules over HTTP: documents with a version and an ETag each, checked before they are kept."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from serve.api import policies
from tests.serve.shop import Shop, open_shop

CAP = {"action": "cap", "filter": "brand = 'Acme'", "limit": 2}
WHOLE = {"scenarios": [], "priority": 0, "enabled": True, "note": ""}


def put(shop: Shop, name: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = shop.client.put(f"/v1/rules/{quote(name, safe='')}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_was_written_comes_back_with_what_was_not_said(shop: Shop) -> None:
    written = put(shop, "ü/1 x", CAP | {"starts": "2026-11-27T00:00:00+01:00"})
    got = shop.client.get(f"/v1/rules/{quote('ü/1 x', safe='')}")
    assert got.json() == written
    assert written == {
        "id": "ü/1 x",
        "version": 1,
        "stateVersion": 1,
        **CAP,
        **WHOLE,
        "starts": "2026-11-27T00:00:00+01:00",
    }
    assert got.headers["etag"]


def test_each_rule_counts_its_own_versions_and_none_is_given_twice(shop: Shop) -> None:
    assert [put(shop, "a", CAP | {"limit": limit})["version"] for limit in (1, 2, 2)] == [1, 2, 2]
    assert put(shop, "b", CAP)["version"] == 1
    gone = shop.client.delete("/v1/rules/a")
    assert (gone.status_code, gone.json()) == (200, {"id": "a", "stateVersion": 4})
    assert put(shop, "a", CAP)["version"] == 4


def test_the_list_holds_what_is_there_by_id(shop: Shop) -> None:
    assert shop.client.get("/v1/rules").json() == {"rules": []}
    for name in ("b", "a", "c"):
        put(shop, name, CAP)
    shop.client.delete("/v1/rules/b")
    assert [(rule["id"], rule["version"]) for rule in shop.client.get("/v1/rules").json()["rules"]] == [
        ("a", 1),
        ("c", 1),
    ]


def test_who_read_an_old_rule_cannot_overwrite_a_newer_one(shop: Shop) -> None:
    put(shop, "a", CAP)
    tag = shop.client.get("/v1/rules/a").headers["etag"]
    put(shop, "a", CAP | {"limit": 3}, {"if-match": tag})
    for method, body in (("put", CAP), ("delete", None)):
        answer = shop.client.request(method, "/v1/rules/a", json=body, headers={"if-match": tag})
        assert (answer.status_code, "read it again" in answer.json()["detail"]) == (412, True)
    assert shop.client.get("/v1/rules/a").json()["limit"] == 3
    assert shop.client.put("/v1/rules/a", json=CAP, headers={"if-none-match": "*"}).status_code == 412
    put(shop, "b", CAP, {"if-none-match": "*"})


def test_a_rule_is_there_after_a_restart_and_on_a_second_replica(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        behind = shop.lagging_engine()
        written = put(shop, "a", CAP)
        behind.view.apply([logged.batch for logged in shop.logged()])
        assert behind.view.documents.all("$rule") == shop.engine.view.documents.all("$rule")
    with open_shop(registry, tmp_path / "data") as shop:
        assert shop.client.get("/v1/rules/a").json() == written


@pytest.mark.parametrize(
    ("body", "status", "pointer", "position"),
    [
        ({}, 400, "/action", None),
        ({**CAP, "action": "hide"}, 400, "/action", None),
        ({**CAP, "limit": -1}, 400, "/limit", None),
        ({**CAP, "factor": 2}, 400, "/factor", None),
        ({"action": "boost", "filter": "x"}, 400, "/factor", None),
        ({**CAP, "starts": "2026-11-27T00:00:00"}, 400, "/starts", None),
        ({**CAP, "filter": "brand = = 'x'"}, 422, "/filter", 9),
        ({**CAP, "when": "user.city ="}, 422, "/when", 12),
        ({**CAP, "when": "context.device = 'ios' and brand = 'Acme'"}, 422, "/when", 28),
        ({**CAP, "starts": 2_000_000_000, "ends": 1_900_000_000}, 422, "/ends", None),
        ({"action": "quota", "filter": "x"}, 422, "/minimum", None),
        ({"action": "quota", "filter": "x", "minimum": 2, "share": 0.5}, 422, "/minimum", None),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_at_its_place_and_changes_nothing(
    shop: Shop, body: dict[str, Any], status: int, pointer: str, position: int | None
) -> None:
    answer = shop.client.put("/v1/rules/a", json=body)
    assert answer.status_code == status, answer.text
    found = answer.json()["errors"]
    assert pointer in [one["pointer"] for one in found]
    assert [one.get("position") for one in found if one["pointer"] == pointer] == [position]
    assert shop.logged() == []


@pytest.mark.parametrize("body", [[], "x", None])
def test_a_body_that_is_no_object_is_refused(shop: Shop, body: Any) -> None:
    assert shop.client.put("/v1/rules/a", json=body).status_code == 400


def test_what_is_not_there_is_not_found(shop: Shop) -> None:
    for method in ("get", "delete"):
        answer = shop.client.request(method, "/v1/rules/a")
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no rule 'a'")
    assert shop.client.put(f"/v1/rules/{'x' * 129}", json=CAP).status_code == 400


def test_there_are_not_more_rules_than_every_list_can_look_at(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "MOST", 1)
    put(shop, "a", CAP)
    put(shop, "a", CAP | {"limit": 3})
    answer = shop.client.put("/v1/rules/b", json=CAP)
    assert (answer.status_code, "delete one" in answer.json()["detail"]) == (422, True)
