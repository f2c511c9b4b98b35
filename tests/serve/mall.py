"""A server with several shops, one of which holds something of each kind that no other may hear of."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from fastapi.testclient import TestClient

from cluster.keys import Keyring
from cluster.requests import current_tenant
from serve.api.routes import make_api
from serve.limits import Limits, RatesConfig
from tests.serve.shop import KNOWN, Shop
from tests.serve.test_access import calls

ACME, GLOBEX = "acme", "globex"
ITEM, USER, NAME, EVENT = "globex-item", "globex-user", "globex-name", "globex-event"  # ids that others may guess
TITLE, NOTE, PAYLOAD, REFUSED = "globex title", "globex note", "globex text", "globex refusal"
BUNDLE = "globex-bundle"
EVERYBODYS = "i0003"  # an item of every shop


@dataclass(kw_only=True)
class Mall:
    """One server, and the shops that it has."""

    shops: dict[str, Shop]
    client: TestClient
    keys: dict[str, str]  # by tenant, each may do everything

    def ask(self, tenant: str, method: str, path: str, **more: Any) -> Any:
        """Return what a holder of a tenant's key is answered."""
        return self.client.request(method, path, headers=bearer(self.keys[tenant]), **more)

    def sent(self, tenant: str, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Return the JSON of a good answer."""
        answer = self.ask(tenant, method, path, json=body)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()


def opened(shops: dict[str, Shop], ring: Keyring, **rates: float) -> Mall:
    """Return the server of some shops; rates: of RatesConfig."""
    limits = {tenant: Limits(RatesConfig.checked(rates), clock=lambda: 0.0) for tenant in shops}
    releases = {tenant: shop.work.releases() for tenant, shop in shops.items()}
    api = make_api(
        lambda: shops[current_tenant()].engine, lambda: ring, lambda: releases[current_tenant()],
        lambda: limits[current_tenant()], tenants=list(shops),
    )  # fmt: skip
    keys = {tenant: ring.create("owner", ["admin"], tenant) for tenant in shops}
    return Mall(shops=shops, client=shops[""].client_of(api), keys=keys)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def lived_in(mall: Mall) -> dict[str, str]:
    """Let one tenant's shop hold something of each kind, and return what nobody else may be told, by what it is."""
    mall.sent(GLOBEX, "PUT", f"/v1/catalogues/products/items/{ITEM}", title=TITLE, price=7)
    mall.sent(GLOBEX, "PUT", f"/v1/users/{USER}", traits={"city": PAYLOAD})
    mall.sent(GLOBEX, "PUT", f"/v1/scenarios/{NAME}", diversity=0.5)
    mall.sent(GLOBEX, "PUT", f"/v1/rules/{NAME}", action="filter", filter="price < 1000", note=NOTE)
    click = {"type": "click", "user": USER, "item": ITEM, "text": PAYLOAD, "id": EVENT}
    refused = {"type": "click", "user": USER, "item": REFUSED}
    mall.sent(GLOBEX, "POST", "/v1/events", events=[click, click | {"user": KNOWN, "id": f"{EVENT}-2"}, refused])
    slate = mall.sent(GLOBEX, "POST", "/v1/recommendations", user=USER)
    mall.shops[GLOBEX].portal.call(mall.shops[GLOBEX].engine.recorder.empty)
    operation = mall.sent(GLOBEX, "POST", "/v1/snapshots")
    mall.shops[GLOBEX].portal.call(mall.shops[GLOBEX].work.idle)
    [snapshot] = mall.sent(GLOBEX, "GET", "/v1/snapshots")["snapshots"]
    return {
        "item_id": ITEM, "user_id": USER, "name": NAME, "recommendation_id": slate["recommendationId"],
        "operation_id": operation["id"], "version": BUNDLE, "event": EVENT, "title": TITLE, "note": NOTE,
        "payload": PAYLOAD, "state": snapshot["stateHash"],
    }  # fmt: skip


def bodies(user: str, item: str) -> dict[str, Any]:
    """Return what is sent to each route that takes something, about a shopper and an item."""
    document = {"note": "mine", "action": "bury", "filter": "price > 5", "factor": 0.5}
    item_body, user_body, merge = {"title": "mine"}, {"traits": {"city": "Oslo"}}, {"source": user}
    return {
        "POST /v1/events": {"events": [{"type": "click", "user": user, "item": item, "id": EVENT}]},
        "POST /v1/recommendations": {"user": user, "count": 100}, "POST /v1/rank": {"user": user, "candidates": [item]},
        "POST /v1/basket": {"user": user, "items": [EVERYBODYS]}, "POST /v1/similar": {"items": [item]},
        "POST /v1/search": {"query": "globex", "count": 100}, "POST /v1/users/{user_id}/tokens": {},
        "PUT /v1/users/{user_id}": user_body, "PATCH /v1/users/{user_id}": user_body,
        "POST /v1/users/{user_id}:merge": merge, "POST /v1/users/{user_id}:unmerge": merge,
        "POST /v1/catalogues/{catalogue}/items:batch": {"id": item, **item_body},
        "PUT /v1/catalogues/{catalogue}/items/{item_id}": item_body,
        "PATCH /v1/catalogues/{catalogue}/items/{item_id}": item_body,
        "POST /v1/recommendations/{recommendation_id}/next": {}, "POST /v1/rules/{name}:preview": document,
        "PUT /v1/rules/{name}": document, "PUT /v1/scenarios/{name}": {"diversity": 0.1},
    }  # fmt: skip


def asked(mall: Mall, guessed: dict[str, str], readers_only: bool = False) -> Iterator[tuple[str, str, Any]]:
    """Yield operation, path and body of requests to every route, about what everybody has and what is guessed.

    Those that only read come first, before anything that was guessed is in the asking shop, too.
    """
    ids = {"catalogue": ["products"], "item_id": [EVERYBODYS], "user_id": [KNOWN, "other"], "name": ["home"]}
    for method, path in sorted(calls(mall.client), key=lambda call: call[0] != "GET"):
        if readers_only and method != "GET":
            continue
        names = [name for name in ("catalogue", *guessed) if f"{{{name}}}" in path]
        for chosen in product(*([*ids.get(name, []), *([guessed[name]] if name in guessed else [])] for name in names)):
            place = path.format(**dict(zip(names, chosen, strict=True)))
            for user, item in ((KNOWN, EVERYBODYS), (guessed["user_id"], guessed["item_id"])):
                yield f"{method} {path}", place, bodies(user, item).get(f"{method} {path}")


def told(mall: Mall, tenant: str, requests: Iterator[tuple[str, str, Any]], words: set[str]) -> dict[str, set[str]]:
    """Return, by word, which operations say it to its owner, or to another tenant who did not say it first."""
    found, written = {word: set[str]() for word in words}, ""
    for operation, place, body in requests:
        said, answer = written + place + json.dumps(body), mall.ask(tenant, operation.split()[0], place, json=body)
        written = written if operation.startswith("GET") else said
        assert answer.status_code not in (401, 500), (operation, answer.text)
        heard = answer.text + str(answer.headers)
        for word in words:
            if word in heard and (tenant == GLOBEX or word not in said):
                found[word].add(operation)
    return found


def state(mall: Mall, tenant: str) -> dict[str, Any]:
    """Return all that a shop holds."""
    shop = mall.shops[tenant]

    async def held() -> dict[str, Any]:
        store = shop.store
        return {
            "state": await store.state_hash(), "decisions": await store.decisions.newest(1_000),
            "letters": await store.dead_letters(), "operations": dict(shop.work._known),
            "rolled out": list(shop.work.launched), "waiting": shop.engine.recorder.n_waiting,
        }  # fmt: skip

    return shop.portal.call(held)
