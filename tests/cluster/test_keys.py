"""API keys: what a file of them lets whom do."""

import json
from pathlib import Path

import pytest

from cluster.errors import ConfigError, ConflictError, NotFoundError
from cluster.keys import Keyring, main


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys.json")


def test_a_key_may_what_its_scopes_say_and_the_file_does_not_hold_it(ring: Keyring) -> None:
    made = ring.create("shop", ["events", "read"])
    holder = ring.holder(made)
    assert holder is not None
    assert (holder.name, holder.scopes) == ("shop", ["events", "read"])
    assert holder.allows("read")
    assert not holder.allows("catalogue")
    assert made.split("_", 2)[2] not in ring.path.read_text()
    assert ring.path.stat().st_mode & 0o777 == 0o600


def test_an_administrator_may_everything(ring: Keyring) -> None:
    holder = ring.holder(ring.create("owner", ["admin"]))
    assert holder is not None
    assert all(holder.allows(scope) for scope in ("read", "events", "catalogue", "admin"))


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1], lambda key: key + "x", lambda key: key.replace("ls_", "xx_"), lambda _: ""]
)
def test_what_is_nearly_a_key_is_none(ring: Keyring, change) -> None:  # noqa: ANN001
    assert ring.holder(change(ring.create("shop", ["read"]))) is None


def test_another_process_sees_what_changes(ring: Keyring) -> None:
    other = Keyring(ring.path)
    assert other.is_open
    old = ring.create("shop", ["read"])
    assert not other.is_open
    assert other.holder(old) is not None
    new = ring.rotate("shop")
    assert other.holder(old) is not None  # until it is revoked
    assert other.holder(new) is not None
    ring.revoke(ring.keys[0].id)
    assert other.holder(old) is None
    assert other.holder(new) is not None


def test_a_file_that_is_lost_lets_nobody_in(ring: Keyring) -> None:
    made = ring.create("shop", ["read"])
    assert not ring.is_open
    ring.path.unlink()
    assert not ring.is_open
    assert ring.holder(made) is None
    assert not Keyring(ring.path).is_open  # of a server started later


def test_a_client_has_two_live_keys_at_most(ring: Keyring) -> None:
    ring.create("shop", ["read"])
    ring.rotate("shop")
    with pytest.raises(ConflictError, match="2 live keys"):
        ring.rotate("shop")
    with pytest.raises(NotFoundError, match="'other'"):
        ring.rotate("other")
    with pytest.raises(NotFoundError, match="'nix'"):
        ring.revoke("nix")


@pytest.mark.parametrize(
    ("name", "scopes", "said"), [("", ["read"], "name"), ("shop", ["write"], "scopes=write"), ("shop", [], "scopes=")]
)
def test_a_key_that_means_nothing_is_not_made(ring: Keyring, name: str, scopes: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ring.create(name, scopes)
    assert ring.is_open


def test_clients_of_two_tenants_may_have_one_name_and_each_key_opens_its_own_shop(ring: Keyring) -> None:
    made = {tenant: ring.create("shop", ["read"], tenant) for tenant in ("", "acme", "globex")}
    ring.rotate("shop", "acme")
    assert [key.tenant for key in ring.keys] == ["", "acme", "globex", "acme"]
    for tenant, key in made.items():
        holder = ring.holder(key)
        assert holder is not None
        assert holder.tenant == tenant
    with pytest.raises(NotFoundError, match="of nobody"):
        ring.rotate("shop", "nobody")


def test_a_key_of_a_file_that_knows_no_tenants_is_the_operators_own(ring: Keyring) -> None:
    made = ring.create("shop", ["read"])
    kept = [
        {name: value for name, value in key.items() if name != "tenant"} for key in json.loads(ring.path.read_text())
    ]
    ring.path.write_text(json.dumps(kept))
    holder = Keyring(ring.path).holder(made)
    assert holder is not None
    assert holder.tenant == ""


@pytest.mark.parametrize("tenant", ["Acme", "a/b", "..", "-a", "a" * 33, "a b"])
def test_what_no_folder_may_be_called_is_no_tenant(ring: Keyring, tenant: str) -> None:
    with pytest.raises(ConfigError, match="1 to 32 of a-z"):
        ring.create("shop", ["read"], tenant)
    assert ring.is_open


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": "x"}]'])
def test_a_file_that_cannot_be_read_opens_nothing(ring: Keyring, content: str) -> None:
    ring.path.write_text(content)
    with pytest.raises(ConfigError, match="holds no keys that can be read"):
        ring.holder("ls_x_y")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = f"keys={tmp_path / 'keys.json'}"
    assert main(["create", file, "name=shop", "scopes=read,events"]) == 0
    first = capsys.readouterr().out.strip()
    key_id = first.split("_")[1]
    assert main(["revoke", file, f"id={key_id}"]) == 1
    assert "last key" in capsys.readouterr().err
    assert main(["rotate", file, "name=shop"]) == 0
    second = capsys.readouterr().out.strip()
    assert main(["revoke", file, f"id={key_id}"]) == 0
    assert main(["list", file]) == 0
    listed = capsys.readouterr().out
    assert second.split("_")[1] in listed
    assert "events,read" in listed
    assert "sha256" not in listed
    assert main(["create", file, "name=shop", "tenant=acme"]) == 0
    capsys.readouterr()
    assert main(["list", file]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" acme")
    ring = Keyring(tmp_path / "keys.json")
    assert ring.holder(first) is None
    assert ring.holder(second) is not None
    assert len(json.loads(ring.path.read_text())) == 2
