"""Tenants on real gateways: a store for each, and one goes over to another bundle alone."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray.serve

from bench.client import Client
from bench.processes import STORE, WATCHDOG, named
from cluster.haproxy import free_port
from cluster.keys import Keyring
from serve.app import withdraw
from serve.store_client import served_tenants
from tests.serve.deployed import Server, wait_until
from tests.serve.shop import KNOWN, copied
from train.registry import Registry

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TENANTS = ("", "acme", "globex")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tenants")


@pytest.fixture(scope="module")
def servers(ray_cluster: str, registry: Path, folder: Path) -> Iterator[dict[str, Server]]:
    """The one server, as each tenant asks it."""
    bundle, ring = Registry(registry).find("current"), Keyring(folder / "keys.json")
    for place in ("registry", "acme/registry", "globex/registry"):
        copied(bundle, folder / place / "first")
        copied(bundle, folder / place / "second")
        Registry(folder / place).promote("first")
    server = Server(free_port(), folder / "registry", folder / "store")
    yield {tenant: replace(server, key=ring.create("owner", ["admin"], tenant)) for tenant in TENANTS}
    withdraw()
    ray.serve.shutdown()


def begin(servers: dict[str, Server], folder: Path, tenants: str) -> None:
    servers[""].deploy("auto", tenants=tenants, tenants_folder=str(folder), keys=str(folder / "keys.json"))


def served(server: Server) -> dict[str, Any]:
    """Return what is shown to a shopper whom every shop knows."""
    return server.post("/v1/recommendations", user=KNOWN)


def test_each_tenants_events_are_in_its_own_log(servers: dict[str, Server], folder: Path) -> None:
    begin(servers, folder, "acme,globex")
    assert served_tenants() == set(TENANTS)
    assert len(named(STORE, os.getpid())) == len(named(WATCHDOG, os.getpid())) == len(TENANTS)
    version = servers["acme"].click(KNOWN, "i0003")
    slates = [servers["acme"].post("/v1/recommendations", user=KNOWN, minVersion=version) for _ in range(10)]
    assert {slate["stateVersion"] for slate in slates} == {version}
    for other in ("", "globex"):
        assert {served(servers[other])["stateVersion"] for _ in range(10)} == {0}
        assert Client(servers[""].port, key=servers[other].key).get(f"/v1/users/{KNOWN}/export").body["events"] == []
    assert (folder / "acme/store").is_dir()
    assert Client(servers[""].port).post("/v1/recommendations", {"user": KNOWN}).status == 401


def test_a_promotion_changes_the_shop_that_asked_for_it_alone(servers: dict[str, Server], folder: Path) -> None:
    assert servers["acme"].work("/v1/models/second:promote") == {"version": "second"}
    wait_until(lambda: {served(servers["acme"])["modelVersion"] for _ in range(10)} == {"second"})
    for other in ("", "globex"):
        assert {served(servers[other])["modelVersion"] for _ in range(10)} == {"first"}
        place = folder / other / "registry"
        assert Registry(place).current() == "first"
    assert Registry(folder / "acme/registry").current() == "second"
    servers["globex"].work("/v1/models/second:promote")
    servers["globex"].work("/v1/models/second:rollback")
    assert {tenant: served(servers[tenant])["modelVersion"] for tenant in TENANTS} == {
        "": "first", "acme": "second", "globex": "first",
    }  # fmt: skip


def test_a_tenant_that_is_served_no_longer_is_gone_and_the_others_go_on(
    servers: dict[str, Server], folder: Path
) -> None:
    before = served(servers["acme"])
    begin(servers, folder, "acme")
    assert served_tenants() == {"", "acme"}
    wait_until(lambda: len(named(STORE, os.getpid())) == len(named(WATCHDOG, os.getpid())) == 2)
    assert Client(servers[""].port, key=servers["globex"].key).get("/v1/popular").status == 401
    after = served(servers["acme"])
    assert (after["stateVersion"], after["items"]) == (before["stateVersion"], before["items"])
