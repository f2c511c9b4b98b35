"""Tenants: shops that one server has side by side, and each key opens its own alone."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.keys import Keyring
from serve.config import StartArgs
from serve.run import main
from tests.serve.mall import (
    ACME,
    BUNDLE,
    EVENT,
    EVERYBODYS,
    GLOBEX,
    ITEM,
    USER,
    Mall,
    asked,
    bearer,
    bodies,
    lived_in,
    opened,
    state,
    told,
)
from tests.serve.shop import KNOWN, Shop, copied, open_shop
from tests.serve.test_access import OPEN, calls
from tests.serve.test_metrics import samples
from train.registry import Registry


@pytest.fixture
def mall(registry: Path, tmp_path: Path, ring: Keyring) -> Iterator[Mall]:
    """The operator's shop and two tenants', of the same items and shoppers."""
    own = copied(Registry(registry).find("current"), tmp_path / "globex" / BUNDLE).parent
    Registry(own).promote(BUNDLE)
    with ExitStack() as stack:
        shops = dict[str, Shop]()
        for tenant, where in (("", registry), (ACME, registry), (GLOBEX, own)):
            beside = shops.get("")
            data = tmp_path / f"data {tenant}"
            shops[tenant] = stack.enter_context(open_shop(where, data, beside=beside, decision_share=1.0))
        yield opened(shops, ring)


def test_every_route_that_takes_something_is_sent_something_below(mall: Mall) -> None:
    paths = mall.client.get("/openapi.json").json()["paths"]
    taking = {
        f"{method.upper()} {path}" for path, operations in paths.items() for method, operation in operations.items()
        if "requestBody" in operation
    }  # fmt: skip
    assert taking == set(bodies(KNOWN, EVERYBODYS))


def test_what_one_tenant_has_no_route_tells_another_or_lets_another_change(mall: Mall) -> None:
    held = lived_in(mall)
    words, before = set(held.values()), state(mall, GLOBEX)
    openly = told(mall, GLOBEX, asked(mall, held, readers_only=True), words)
    assert all(openly.values()), openly  # to its owner each of it is told: the words below can be found
    assert state(mall, GLOBEX) == before
    for tenant in (ACME, ""):
        found = told(mall, tenant, asked(mall, held), words)
        assert not any(found.values()), {word: where for word, where in found.items() if where}
    assert state(mall, GLOBEX) == before


def test_an_id_of_another_tenant_is_answered_like_one_that_nobody_has(mall: Mall) -> None:
    held = lived_in(mall)
    nobodys = {name: value[:4] + "x" * (len(value) - 4) for name, value in held.items()}
    seen = list[list[tuple[str, int]]]()
    for guessed in (held, nobodys):
        requests = [one for one in asked(mall, guessed) if not one[0].startswith(("PUT", "PATCH", "DELETE"))]
        read = [one for one in requests if one[0] not in ("POST /v1/snapshots", "POST /v1/events")]
        seen.append([
            (operation, mall.ask(ACME, operation.split()[0], place, json=body).status_code)
            for operation, place, body in read if "items:batch" not in operation
        ])  # fmt: skip
    assert seen[0] == seen[1]
    assert 404 in {status for _, status in seen[0]}


def test_the_same_event_of_two_tenants_is_two_events(mall: Mall) -> None:
    lived_in(mall)
    click = {"type": "click", "user": KNOWN, "item": EVERYBODYS, "id": EVENT}
    [result] = mall.sent(ACME, "POST", "/v1/events", **click)["results"]
    assert (result["status"], result["version"]) == ("applied", 1)
    assert mall.shops[ACME].history(KNOWN)[-1] == EVERYBODYS
    assert mall.shops[GLOBEX].history(KNOWN)[-1] == ITEM


@pytest.mark.parametrize("key", ["revoked", "of nobody's shop", "missing"])
def test_who_has_no_shop_here_gets_no_answer_from_any(mall: Mall, ring: Keyring, key: str) -> None:
    headers = dict[str, str]()
    if key == "revoked":
        ring.revoke(mall.keys[ACME].split("_")[1])
        headers = bearer(mall.keys[ACME])
    elif key == "of nobody's shop":
        headers = bearer(ring.create("owner", ["admin"], "initech"))
    for method, path in calls(mall.client):
        place = path.replace("{catalogue}", "products").replace("{item_id}", EVERYBODYS).replace("{user_id}", KNOWN)
        answer = mall.client.request(method, place, json={}, headers=headers)
        assert (answer.status_code == 401) == (path not in OPEN), (method, path)


def test_the_token_of_a_shopper_opens_the_shop_of_its_key_alone(mall: Mall) -> None:
    lived_in(mall)
    token = mall.sent(ACME, "POST", f"/v1/users/{USER}/tokens")["token"]
    slate = mall.client.post("/v1/recommendations", json={"count": 100}, headers=bearer(token)).json()
    assert (slate["fallback"], slate["modelVersion"] == BUNDLE) == ("popular", False)
    assert ITEM not in [item["id"] for item in slate["items"]]


def test_a_promotion_is_of_the_own_shop_and_of_a_bundle_in_its_registry(mall: Mall) -> None:
    refused = mall.ask(ACME, "POST", f"/v1/models/{BUNDLE}:promote")
    assert refused.status_code == 404
    mall.sent(GLOBEX, "POST", f"/v1/models/{BUNDLE}:promote")
    assert [len(mall.shops[tenant].work.launched) for tenant in ("", ACME, GLOBEX)] == [0, 0, 1]


def test_figures_are_the_own_shops_and_the_operator_sees_all(mall: Mall) -> None:
    lived_in(mall)
    mall.client.get("/v1/popular")  # of nobody: counted for the operator
    names = "liveshelf_events_total", "liveshelf_items", "liveshelf_slates_total", "liveshelf_store_version"
    acme = mall.ask(ACME, "GET", "/metrics").text
    assert "tenant" not in acme
    assert [samples(acme, name) for name in names] == [
        {}, {(): len(mall.shops[ACME].engine.item_ids)}, {}, {(): 0.0},
    ]  # fmt: skip
    assert "/v1/" not in acme
    operator = mall.ask("", "GET", "/metrics").text
    assert samples(operator, "liveshelf_events_total")["applied", GLOBEX] == 2
    assert set(samples(operator, "liveshelf_items")) == {(), (ACME,), (GLOBEX,)}
    assert samples(operator, "liveshelf_request_seconds_count")["GET", "/v1/popular", "401"] == 1


def test_what_one_tenant_asks_too_often_costs_no_other(mall: Mall, ring: Keyring, tmp_path: Path) -> None:
    rated = opened(mall.shops, Keyring(tmp_path / "rated.json"), key=1, shopper=1, burst_s=2)
    found = [rated.ask(ACME, "POST", "/v1/recommendations", json={"user": KNOWN}).status_code for _ in range(3)]
    assert found == [200, 200, 429]
    assert rated.ask(GLOBEX, "POST", "/v1/recommendations", json={"user": KNOWN}).status_code == 200
    assert rated.ask("", "POST", "/v1/recommendations", json={"user": KNOWN}).status_code == 200


def test_readiness_speaks_for_every_shop_and_names_none(mall: Mall) -> None:
    ready = mall.client.get("/readyz")
    assert (ready.status_code, GLOBEX in ready.text, ACME in ready.text) == (200, False, False)
    mall.shops[GLOBEX].engine.follower.lost_at = 0.0
    away = mall.client.get("/readyz")
    assert (away.status_code, GLOBEX in away.text) == (503, False)


def test_each_tenant_has_folders_of_its_own() -> None:
    args = StartArgs.checked({"tenants": "acme, globex", "tenants_folder": "/shops"})
    assert args.shops() == ["", "acme", "globex"]
    assert args.of("") == args
    own = args.of("acme")
    assert (own.registry, own.data, own.bundle) == ("/shops/acme/registry", "/shops/acme/store", "current")
    assert Path(StartArgs.checked({"tenants": "acme"}).located().of("acme").data).is_absolute()


def test_commands_that_read_a_log_read_the_tenants_own(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(registry, tmp_path / "acme/registry")
    with open_shop(registry, tmp_path / "acme/store") as shop:
        shop.click(KNOWN, EVERYBODYS)
    for command, said in (("replay", "version 1,"), ("events", "wrote 1 events")):
        words = [f"out={tmp_path / 'live.parquet'}"] if command == "events" else []
        assert main([command, "tenant=acme", f"tenants_folder={tmp_path}", *words]) == 0
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tenants=Acme"], "1 to 32 of a-z"), (["tenants=acme,acme"], "twice"),
        (["tenants=acme", "topology=staged"], "topology=fused"), (["tenants=acme"], "told apart by their keys"),
    ],
)  # fmt: skip
def test_tenants_that_cannot_be_served_are_refused_with_the_reason(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    shutil.copytree(registry, tmp_path / "acme/registry")
    where = [
        f"registry={registry}",
        f"data={tmp_path / 'data'}",
        f"keys={tmp_path / 'k'}",
        f"tenants_folder={tmp_path}",
    ]
    assert main(["start", *where, *words]) == 1
    assert said in capsys.readouterr().err
