"""Versions are published whole, never changed, and promoted only when intact."""

from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from cluster.errors import BundleError, ConfigError, NotFoundError
from tests.train.conftest import Small
from train import registry as registry_module
from train.bundle import Bundle, read_bundle
from train.bundle_state import MANIFEST
from train.registry import Registry


def version(small: Small, name: str) -> Bundle:
    bundle = small.published.bundle
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"version": name}))


def remote_registry(bucket: Path, cache: Path) -> Registry:
    """Return a registry whose root is a file system of its own, as a bucket is."""
    (bucket / "shop").mkdir(parents=True, exist_ok=True)
    registry = Registry("shop", cache)
    registry.remote, registry.local = SubTreeFileSystem(str(bucket), LocalFileSystem()), cache
    return registry


@pytest.fixture(params=["path", "file-url", "remote"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    if request.param == "remote":
        return remote_registry(tmp_path / "bucket", tmp_path / "cache")
    root = tmp_path / "registry"
    return Registry(root if request.param == "path" else root.as_uri())


def test_what_is_published_is_listed_promoted_and_found(registry: Registry, small: Small) -> None:
    registry.publish(version(small, "b"))
    registry.publish(version(small, "a"), promote=False)
    assert registry.versions() == ["a", "b"]
    assert registry.current() == "b"
    registry.promote("a")
    assert registry.current() == "a"
    assert registry.find("current") == registry.find("a") == registry.folder("a")
    assert read_bundle(registry.find("b")).manifest.version == "b"


def test_it_is_known_what_was_current_before(registry: Registry, small: Small) -> None:
    registry.publish(version(small, "a"))
    assert registry.previous() is None
    registry.publish(version(small, "b"))
    registry.promote("b")
    assert (registry.current(), registry.previous()) == ("b", "a")
    registry.promote("a")
    assert (registry.current(), registry.previous()) == ("a", "b")
    assert registry.versions() == ["a", "b"]


def test_what_a_bundle_says_of_itself_is_read_without_fetching_it(small: Small, tmp_path: Path) -> None:
    remote_registry(tmp_path / "bucket", tmp_path / "one").publish(version(small, "a"))
    registry = remote_registry(tmp_path / "bucket", tmp_path / "another")
    assert registry.manifest("a").version == "a"
    assert not (tmp_path / "another" / "a").exists()


def test_nothing_is_current_before_the_first_bundle(registry: Registry) -> None:
    assert registry.versions() == []
    with pytest.raises(NotFoundError, match="no bundle was published"):
        registry.current()


def test_an_unknown_version_is_named_with_those_that_are(registry: Registry, small: Small) -> None:
    registry.publish(version(small, "a"))
    with pytest.raises(NotFoundError, match="no bundle 'b'.*published: a"):
        registry.promote("b")
    assert registry.current() == "a"


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "x" * 101])
def test_a_version_cannot_lead_out_of_the_registry(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="cannot be a version"):
        Registry(tmp_path).folder(name)


def test_a_published_version_is_never_replaced(registry: Registry, small: Small) -> None:
    registry.publish(version(small, "a"))
    with pytest.raises(BundleError, match="bundles never change"):
        registry.publish(version(small, "a"))


def test_an_altered_bundle_is_not_promoted(tmp_path: Path, small: Small) -> None:
    registry = Registry(tmp_path)
    registry.publish(version(small, "a"))
    folder = registry.publish(version(small, "b"), promote=False)
    (folder / "items.parquet").write_bytes(b"other")
    with pytest.raises(BundleError, match="items.parquet was altered"):
        registry.promote("b")
    assert registry.current() == "a"


def test_a_bundle_is_found_by_its_path_too(tmp_path: Path, small: Small) -> None:
    folder = small.published.folder
    assert Registry(tmp_path).find(str(folder)) == folder


def test_another_machine_fetches_a_remote_bundle_once(tmp_path: Path, small: Small) -> None:
    remote_registry(tmp_path / "bucket", tmp_path / "writer").publish(version(small, "a"))
    reader = remote_registry(tmp_path / "bucket", tmp_path / "reader")
    folder = reader.find("current")
    assert folder == tmp_path / "reader" / "a"
    assert read_bundle(folder).manifest.version == "a"
    assert [path.name for path in (tmp_path / "reader").iterdir()] == ["a"]


@pytest.mark.parametrize("sent", range(0, 9, 2))
def test_a_broken_upload_is_no_version(
    tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    copied: list[str] = []
    copy_files = registry_module.copy_files

    def breaking(source: str, target: str, **options: object) -> None:
        if len(copied) == sent:
            raise OSError("connection lost")
        copied.append(Path(target).name)
        copy_files(source, target, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(registry_module, "copy_files", breaking)
    registry = remote_registry(tmp_path / "bucket", tmp_path / "cache")
    with pytest.raises(OSError, match="connection lost"):
        registry.publish(version(small, "a"))
    assert len(copied) == sent
    assert MANIFEST not in copied
    assert registry.versions() == []
    with pytest.raises(NotFoundError):
        registry.current()


def test_a_url_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="registry=gopher://shop cannot be reached"):
        Registry("gopher://shop")
