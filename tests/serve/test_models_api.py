"""Bundles, snapshots and the long work that they are, over HTTP and without Ray."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BundleError, RuntimeStartError
from serve import releases
from serve.config import StartArgs
from serve.rollout import go_over
from tests.serve.shop import Shop, open_shop
from train.bundle_state import MANIFEST, read_manifest
from train.registry import Registry


@pytest.fixture
def two_models(registry: Path, tmp_path: Path) -> Registry:
    """A registry with the small bundle, which is current, and a copy of it named `next`."""
    shutil.copytree(registry, tmp_path / "registry")
    found = Registry(tmp_path / "registry")
    folder = shutil.copytree(found.find("current"), tmp_path / "registry" / "next")
    manifest = read_manifest(folder).model_copy(update={"version": "next", "parent": found.current()})
    (folder / MANIFEST).write_text(manifest.sealed().model_dump_json())
    return found


@pytest.fixture
def model_shop(two_models: Registry, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(two_models.local, tmp_path / "data") as shop:
        yield shop


def begun(shop: Shop, path: str) -> dict[str, Any]:
    """Return the operation that a call is accepted with."""
    answer = shop.client.post(path)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/operations/{answer.json()['id']}"
    return answer.json()


def now(shop: Shop, operation: dict[str, Any]) -> dict[str, Any]:
    return shop.client.get(f"/v1/operations/{operation['id']}").json()


def refused(shop: Shop, path: str) -> tuple[int, str]:
    answer = shop.client.post(path)
    return answer.status_code, answer.json()["detail"]


def carry_out(shop: Shop, registry: Registry, deployed: list[str]) -> None:
    """Do what the process of the last rollout does."""
    operation = shop.work.launched[-1]
    args = StartArgs.checked({"registry": str(registry.local)})
    go_over(lambda args: deployed.append(registry.find(args.bundle).name), operation.target, args)
    shop.portal.call(shop.work.end, operation.id, {"version": operation.target})


def test_the_registry_is_told_with_what_evaluation_found(model_shop: Shop, two_models: Registry) -> None:
    told = model_shop.client.get("/v1/models").json()
    served = two_models.current()
    assert (told["current"], told["previous"], told["served"]) == (served, None, served)
    assert [one["version"] for one in told["models"]] == sorted([served, "next"])
    [newer] = [one for one in told["models"] if one["version"] == "next"]
    assert newer["parent"] == served
    assert newer["metrics"] == read_manifest(two_models.folder(served)).metrics != {}


def test_a_bundle_that_cannot_be_read_says_why_and_hides_no_other(model_shop: Shop, two_models: Registry) -> None:
    (two_models.folder("next") / MANIFEST).write_text("{")
    told = {one["version"]: one.get("problem") for one in model_shop.client.get("/v1/models").json()["models"]}
    assert told.pop(two_models.current()) is None
    assert "cannot be read" in told["next"]


def test_a_bundle_is_promoted_and_taken_back(model_shop: Shop, two_models: Registry) -> None:
    first, deployed = two_models.current(), list[str]()
    operation = begun(model_shop, "/v1/models/next:promote")
    assert (operation["kind"], operation["status"], operation["target"]) == ("promotion", "running", "next")
    assert now(model_shop, operation)["status"] == "running"
    carry_out(model_shop, two_models, deployed)
    done = now(model_shop, operation)
    assert (done["status"], done["result"], done["endedAt"] >= done["startedAt"]) == (
        "succeeded", {"version": "next"}, True,
    )  # fmt: skip
    told = model_shop.client.get("/v1/models").json()
    assert (told["current"], told["previous"]) == ("next", first)
    assert begun(model_shop, "/v1/models/next:rollback")["target"] == first
    carry_out(model_shop, two_models, deployed)
    assert deployed == ["next", first]
    assert two_models.current() == first


def test_what_cannot_be_served_is_said_at_once(model_shop: Shop, two_models: Registry) -> None:
    first = two_models.current()
    for verb in ("promote", "rollback"):
        status, detail = refused(model_shop, f"/v1/models/unknown:{verb}")
        assert (status, "no bundle 'unknown' is published" in detail) == (404, True)
    status, detail = refused(model_shop, "/v1/models/next:rollback")
    assert (status, f"{first} is" in detail) == (409, True)
    status, detail = refused(model_shop, f"/v1/models/{first}:rollback")
    assert (status, "was current before" in detail) == (409, True)
    assert model_shop.work.launched == []


def test_one_bundle_at_a_time_takes_anothers_place(model_shop: Shop, two_models: Registry) -> None:
    operation = begun(model_shop, "/v1/models/next:promote")
    status, detail = refused(model_shop, f"/v1/models/{two_models.current()}:promote")
    assert (status, operation["id"] in detail) == (409, True)
    begun(model_shop, "/v1/snapshots")  # which is no reason to wait
    carry_out(model_shop, two_models, [])
    begun(model_shop, f"/v1/models/{two_models.current()}:promote")


def test_a_rollout_whose_process_is_gone_has_failed_and_keeps_nobody_waiting(
    model_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = begun(model_shop, "/v1/models/next:promote")
    model_shop.work.is_alive = False
    assert now(model_shop, operation)["status"] == "running"  # its process may only just be asked for
    monkeypatch.setattr(releases, "LAUNCH_MS", -1)
    lost = now(model_shop, operation)
    assert (lost["status"], lost["problem"]["status"], "process is gone" in lost["problem"]["detail"]) == (
        "failed", 503, True,
    )  # fmt: skip
    begun(model_shop, "/v1/models/next:promote")


def test_where_a_bundle_cannot_be_deployed_all_is_as_it_was(two_models: Registry) -> None:
    first, deployed = two_models.current(), list[str]()

    def deploy(args: StartArgs) -> None:
        deployed.append(two_models.find(args.bundle).name)
        if deployed[-1] == "next":
            raise RuntimeStartError("the server did not start: no room")

    with pytest.raises(RuntimeStartError, match="no room"):
        go_over(deploy, "next", StartArgs.checked({"registry": str(two_models.local)}))
    assert (deployed, two_models.current()) == (["next", first], first)


def test_a_damaged_bundle_is_refused_before_anything_changes(two_models: Registry) -> None:
    (two_models.folder("next") / "calibration.json").write_text("{}")
    with pytest.raises(BundleError, match="altered"):
        go_over(lambda _: pytest.fail("deployed"), "next", StartArgs.checked({"registry": str(two_models.local)}))


def test_a_snapshot_is_written_and_told_of(shop: Shop) -> None:
    assert shop.client.get("/v1/snapshots").json() == {"snapshots": []}
    version = shop.click("new", "i0003")
    operation = begun(shop, "/v1/snapshots")
    shop.portal.call(shop.work.idle)
    assert now(shop, operation)["result"] == {"version": version}
    [told] = shop.client.get("/v1/snapshots").json()["snapshots"]
    hashed = shop.portal.call(shop.store.state_hash)
    assert (told["version"], told["stateHash"]) == hashed
    assert told["modelVersion"] == shop.bundle.manifest.version
    assert told["bytes"] > 0


def test_nobody_finds_an_operation_by_guessing(shop: Shop) -> None:
    ids = {begun(shop, "/v1/snapshots")["id"] for _ in range(5) if shop.portal.call(shop.work.idle) is None}
    assert len(ids) == 5
    assert all(len(one) >= 22 for one in ids)
    answer = shop.client.get("/v1/operations/op_1")
    assert (answer.status_code, "op_1" in answer.json()["detail"]) == (404, True)
