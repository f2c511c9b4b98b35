"""The examples of docs/api.md do what they say against a real server: calls with curl, Python and JavaScript."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.environment import ROOT
from cluster.keys import Keyring
from serve.api.client import generate
from serve.api.routes import make_api
from tests.serve.served import over_http
from tests.serve.shop import Shop, open_shop

BLOCKS = re.findall(r"^```(sh|python|js)\n(.*?)^```$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE | re.DOTALL)
CALLS = [text for kind, text in BLOCKS if kind == "sh" and "curl" in text]
ELSEWHERE = re.compile(r".*:(promote|rollback) .*\n")  # needs a cluster: tests/serve/test_models_api.py


@pytest.fixture(scope="module")
def served(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, str]]:
    """A shop and its address."""
    data = tmp_path_factory.mktemp("examples") / "data"
    with open_shop(registry, data, decision_share=1.0) as shop, over_http(shop) as url:
        yield shop, url.removeprefix("http://")


@pytest.fixture(scope="module")
def locked(served: tuple[Shop, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The same shop's address for holders of keys, and a key."""
    shop, ring = served[0], Keyring(tmp_path_factory.mktemp("ring") / "keys.json")
    key = ring.create("shop", ["read", "events"])
    with over_http(shop, make_api(lambda: shop.engine, lambda: ring)) as url:
        yield url.removeprefix("http://"), key


@pytest.fixture
def address(served: tuple[Shop, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a shop that has what the examples name."""
    shop, address = served
    for rule in shop.client.get("/v1/rules").json()["rules"]:  # of another example
        shop.client.delete(f"/v1/rules/{rule['id']}")
    for item in ("sku1", "sku2", "sku3", "sku7", "sku9"):
        shop.client.put(f"/v1/catalogues/products/items/{item}", json={"title": f"Blue mug {item}", "price": 7.5})
    shop.click("session9", "i0003")
    version = shop.click("u1", "i0005")
    monkeypatch.setenv("ID", shop.slate(user="u1", minVersion=version)["recommendationId"])
    return address


def ran(command: list[str], **environment: str) -> str:
    """Return what a command prints; a failure is the test's."""
    done = subprocess.run(command, text=True, capture_output=True, timeout=60, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("text", CALLS, ids=lambda text: text.split("localhost:8000")[1].split()[0])
def test_every_call_is_answered_well(text: str, address: str, locked: tuple[str, str]) -> None:
    address, key = locked if "$KEY" in text else (address, "")
    calls = ELSEWHERE.sub("", text).replace("localhost:8000", address).replace("1843", "1")
    if "/v1/operations/" in calls:
        operation = ran(["curl", "-s", "-X", "POST", f"{address}/v1/snapshots"])
        calls = calls.replace("$ID", operation.split('"id":"')[1].split('"')[0])
    ran(["bash", "-eo", "pipefail", "-c", calls.replace("curl -s", "curl --fail-with-body -s")], KEY=key)


def test_python(address: str, tmp_path: Path) -> None:
    [text] = [text for kind, text in BLOCKS if kind == "python"]
    generate(tmp_path / "client")
    printed = ran([sys.executable, "-c", text.replace("localhost:8000", address)], PYTHONPATH=str(tmp_path / "client"))
    assert len(printed.split(",")) == 5


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript(address: str) -> None:
    [text] = [text for kind, text in BLOCKS if kind == "js"]
    printed = ran(["node", "--input-type=module", "-e", text.replace("localhost:8000", address)])
    assert len(printed.split(",")) == 5
