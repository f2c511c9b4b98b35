"""What a rule would have done to the newest lists, before anybody writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop

RULES: list[dict[str, Any]] = [
    {"action": "filter", "filter": "brand = 'Acme'"},
    {"action": "boost", "filter": "brand = 'Acme'", "factor": 20},
    {"action": "bury", "filter": "brand = 'Acme'", "factor": 20},
    {"action": "pin", "filter": "brand = 'Acme'", "position": 2},
    {"action": "cap", "filter": "brand = 'Acme'", "limit": 1},
    {"action": "quota", "filter": "brand = 'Acme'", "share": 0.8},
]


@pytest.fixture
def recording(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        yield shop


def preview(shop: Shop, body: dict[str, Any], name: str = "r") -> dict[str, Any]:
    return shop.post(f"/v1/rules/{name}:preview", **body)


def lists(shop: Shop) -> list[dict[str, Any]]:
    """Return some lists, the newest first; all that may be shown is a candidate."""
    asked = [{"user": KNOWN, "count": 24}, {"user": STRANGER, "count": 5}, {"user": STRANGER, "traits": {"vip": True}}]
    return [shop.slate(**body) for body in asked][::-1]


@pytest.mark.parametrize("body", RULES, ids=lambda body: body["action"])
def test_a_preview_tells_what_the_rule_then_does(recording: Shop, body: dict[str, Any]) -> None:
    before = lists(recording)
    told = preview(recording, body)
    assert (told["decisions"], told["inForce"]) == (3, 3)
    assert recording.client.get("/v1/rules").json() == {"rules": []}
    recording.client.put("/v1/rules/r", json=body)
    after = lists(recording)
    changed = [
        one["recommendationId"] for one, two in zip(before, after, strict=True) if item_ids(one) != item_ids(two)
    ]
    assert (told["changed"], told["examples"]) == (len(changed), changed)
    assert changed


def test_a_preview_counts_where_a_rule_is_in_force(recording: Shop) -> None:
    lists(recording)
    said = {"action": "filter", "filter": "brand = 'Acme'", "when": "user.vip"}
    assert {name: preview(recording, said)[name] for name in ("inForce", "changed")} == {"inForce": 1, "changed": 1}
    for off in ({"enabled": False}, {"scenarios": ["else"]}, {"starts": "2999-01-01T00:00:00Z"}):
        assert {name: preview(recording, said | off)[name] for name in ("inForce", "changed")} == {
            "inForce": 0,
            "changed": 0,
        }


def test_a_preview_of_a_rule_that_is_there_is_about_the_change(recording: Shop) -> None:
    recording.client.put("/v1/rules/r", json=RULES[0])
    lists(recording)
    assert preview(recording, RULES[0])["changed"] == 0
    assert preview(recording, RULES[0] | {"filter": "brand = 'Bolt'"})["changed"] == 3
    assert preview(recording, RULES[0], "another")["changed"] == 0


def test_without_decisions_a_preview_says_so(shop: Shop) -> None:
    shop.slate(user=KNOWN)
    assert preview(shop, RULES[0]) == {"id": "r", "decisions": 0, "inForce": 0, "changed": 0, "examples": []}


def test_a_rule_that_means_nothing_has_no_preview(shop: Shop) -> None:
    answer = shop.client.post("/v1/rules/r:preview", json={"action": "filter", "filter": "brand ="})
    assert (answer.status_code, answer.json()["errors"][0]["position"]) == (422, 8)
