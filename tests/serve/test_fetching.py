"""A replica on another node than the store's: it has the bundle and the keys from there."""

import asyncio
import shutil
from pathlib import Path

import pytest

from cluster.errors import BundleError, NotFoundError, UnavailableError
from cluster.keys import Keyring
from serve.fetching import FollowedKeys, bundle_here
from train.bundle import read_bundle
from train.bundle_state import MANIFEST, check_bundle, read_manifest
from train.registry import Registry


class Node:
    """The store's, whose files lie below a folder that stands for its root."""

    def __init__(self, root: Path) -> None:
        self.root, self.away = root, False

    async def file(self, path: str) -> bytes | None:
        if self.away:
            raise UnavailableError("the store does not answer")
        place = self.root / path.lstrip("/")
        return place.read_bytes() if place.exists() else None


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "elsewhere")


@pytest.fixture
def there(node: Node, registry: Path) -> Path:
    """Where the store's node has the bundle, and this one has nothing."""
    folder = Path("/srv/shop/registry/one")
    shutil.copytree(Registry(registry).find("current"), node.root / str(folder).lstrip("/"))
    return folder


async def whole(folder: Path, node: Node) -> Path:
    """Return where a fetched bundle lay, after reading all of it."""
    async with bundle_here(folder, node.file) as here:
        check_bundle(here)
        read_bundle(here)
        return here


def test_a_bundle_that_is_not_here_is_fetched_whole_and_leaves_nothing(node: Node, there: Path) -> None:
    copy = asyncio.run(whole(there, node))
    assert copy != there
    assert not copy.exists()


def test_a_bundle_that_is_here_is_read_in_its_place(node: Node, registry: Path) -> None:
    node.away = True
    folder = Registry(registry).find("current")
    assert asyncio.run(whole(folder, node)) == folder


def test_a_byte_altered_on_the_way_is_noticed(node: Node, there: Path) -> None:
    name = next(iter(read_manifest(node.root / str(there).lstrip("/")).files))
    with (node.root / str(there).lstrip("/") / name).open("ab") as file:
        file.write(b"!")
    with pytest.raises(BundleError, match="altered"):
        asyncio.run(whole(there, node))


def test_a_bundle_that_is_nowhere_is_said(node: Node) -> None:
    with pytest.raises(NotFoundError, match="nowhere has no manifest"):
        asyncio.run(whole(Path("/nowhere"), node))


def test_a_manifest_that_names_a_file_outside_is_refused(node: Node, there: Path) -> None:
    place = node.root / str(there).lstrip("/")
    manifest = read_manifest(place)
    hostile = manifest.model_copy(update={"files": {"../outside": "0" * 64}}).sealed()
    (place / MANIFEST).write_text(hostile.model_dump_json())
    with pytest.raises(BundleError, match="outside itself"):
        asyncio.run(whole(there, node))


def test_keys_are_those_of_the_stores_node_and_stay_while_it_is_away(node: Node) -> None:
    ring = Keyring(node.root / "srv/keys.json")
    followed = FollowedKeys(Keyring(Path("/srv/keys.json")), node.file)
    asyncio.run(followed.look())
    assert followed.keyring.is_open
    key = ring.create("shop", ["read"])
    asyncio.run(followed.look())
    assert not followed.keyring.is_open
    assert followed.keyring.holder(key)
    node.away = True
    with pytest.raises(UnavailableError):
        asyncio.run(followed.look())
    assert followed.keyring.holder(key)


def test_a_revoked_key_and_a_lost_file_let_nobody_in(node: Node) -> None:
    ring = Keyring(node.root / "srv/keys.json")
    followed = FollowedKeys(Keyring(Path("/srv/keys.json")), node.file)
    key = ring.create("shop", ["read"])
    asyncio.run(followed.look())
    ring.revoke(ring.keys[0].id)
    asyncio.run(followed.look())
    assert not followed.keyring.holder(key)
    ring.path.unlink()
    asyncio.run(followed.look())
    assert not followed.keyring.is_open
