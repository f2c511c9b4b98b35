"""API keys: who may call a server, and for what.

    python -m cluster.keys create name=shop scopes=read,events [tenant=acme keys=var/keys.json]
    python -m cluster.keys list | rotate name=shop | revoke id=1f0c… [tenant=… keys=…]

The file holds SHA-256 hashes alone; a key is shown once. A running server follows the file within a second.
"""

import hashlib
import hmac
import json
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from cluster.command import run_one_of, say
from cluster.config import Config
from cluster.errors import ConfigError, ConflictError, NotFoundError
from cluster.storage import write_whole

Scope = Literal["read", "events", "catalogue", "admin"]  # admin may do everything

SCOPES: tuple[str, ...] = get_args(Scope)
PREFIX = "ls"
TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")  # what a tenant may be called: in a folder and in an actor's name
ID_BYTES, SECRET_BYTES = 6, 32
LIVE = 2  # keys of one name at a time: the old one and the new one of a rotation
DEFAULT = "var/keys.json"


class KeysArgs(Config):
    """What the commands take."""

    keys: str = Field(DEFAULT, description="file of the keys; the server's `keys` setting names the same")
    name: str = Field("", max_length=64, description="of the client, such as `shop`")
    scopes: str = Field("read", description="with commas: read, events, catalogue, admin")
    id: str = Field("", description="of a key, as `list` shows it")
    tenant: str = Field("", description="whose shop the key opens; empty: the one of a server without tenants")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as the file holds it."""

    id: str
    name: str
    scopes: list[str]
    sha256: str  # of the secret
    created: str
    tenant: str = ""  # whose shop it opens

    def allows(self, scope: Scope) -> bool:
        """Tell whether its holder may do what needs a scope."""
        return scope in self.scopes or "admin" in self.scopes


class Keyring:
    """The keys of a file, which is looked at again whenever it changed.

    Where there never were any, nobody needs one; once there were, a file that is lost lets nobody in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False
        self._seen: tuple[int, int] | None = None
        self._keys: dict[str, Key] = {}

    @property
    def keys(self) -> list[Key]:
        """Every live key, oldest first."""
        self._look()
        return list(self._keys.values())

    @property
    def is_open(self) -> bool:
        """Whether anybody may do everything."""
        self._look()
        return not self._closed

    def holder(self, presented: str) -> Key | None:
        """Return the live key of this text, or None; what is compared takes the same time for any secret."""
        prefix, _, rest = presented.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self.named(key_id) if prefix == PREFIX else None
        if key is None or not hmac.compare_digest(key.sha256, digest(secret)):
            return None
        return key

    def named(self, key_id: str) -> Key | None:
        """Return the live key of this id, or None."""
        self._look()
        return self._keys.get(key_id)

    def create(self, name: str, scopes: Sequence[str], tenant: str = "") -> str:
        """Return a new key, which is kept as a hash alone."""
        if not name:
            raise ConfigError("give the key a name: name=shop")
        if tenant:
            require_tenant(tenant)
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise ConfigError(f"scopes={','.join(scopes)}: choose among {', '.join(SCOPES)}")
        if len(self._of(name, tenant)) >= LIVE:
            raise ConflictError(f"{name!r} has {LIVE} live keys; revoke one of them first")
        key_id, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write([*self.keys, Key(
            id=key_id, name=name, scopes=sorted(set(scopes)), sha256=digest(secret), created=now, tenant=tenant
        )])  # fmt: skip
        return f"{PREFIX}_{key_id}_{secret}"

    def rotate(self, name: str, tenant: str = "") -> str:
        """Return a second key for a client that has one; the old one lives until it is revoked."""
        if not (own := self._of(name, tenant)):
            raise NotFoundError(f"nobody called {name!r} has a key{tenant and f' of {tenant}'} in {self.path}")
        return self.create(name, own[-1].scopes, tenant)

    def revoke(self, key_id: str) -> None:
        """Let a key be none from now on."""
        left = [key for key in self.keys if key.id != key_id]
        if len(left) == len(self._keys):
            raise NotFoundError(f"no key {key_id!r} in {self.path}; `list` shows them")
        self._write(left)

    def _of(self, name: str, tenant: str) -> list[Key]:
        return [key for key in self.keys if (key.name, key.tenant) == (name, tenant)]

    def _write(self, keys: Sequence[Key]) -> None:
        write_whole(self._marker, "Without this file and the keys, the server is open to everybody.\n")
        write_whole(self.path, json.dumps([asdict(key) for key in keys], indent=1))
        self.path.chmod(0o600)
        self._seen = None

    @property
    def files(self) -> tuple[Path, Path]:
        """Where the keys are, and what says that there were any."""
        return self.path, self._marker

    @property
    def _marker(self) -> Path:
        """The file that says that there were keys, for servers started after theirs was lost."""
        return self.path.with_name(self.path.name + ".made")

    def _look(self) -> None:
        self._closed = self._closed or self._marker.exists()
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, {}
            return
        if (seen := (found.st_mtime_ns, found.st_ino)) == self._seen:
            return
        try:
            keys = [Key(**one) for one in json.loads(self.path.read_text())]
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{self.path} holds no keys that can be read: {error}; make it anew") from None
        self._closed = self._closed or bool(keys)
        self._keys, self._seen = {key.id: key for key in keys}, seen


def require_tenant(name: str) -> None:
    """Raise where no tenant may be called so."""
    if not TENANT.fullmatch(name):
        raise ConfigError(f"tenant={name!r}: give 1 to 32 of a-z, 0-9 and -, the first of them no -")


def digest(secret: str) -> str:
    """Return what is kept of a secret. It is long and random, so that a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_command(words: list[str]) -> None:
    """Print a new key, once."""
    args = KeysArgs.parse(words)
    say(Keyring(Path(args.keys)).create(args.name, args.scopes.split(","), args.tenant))


def rotate_command(words: list[str]) -> None:
    """Print a second key for a client; revoke the first when nobody uses it any more."""
    args = KeysArgs.parse(words)
    say(Keyring(Path(args.keys)).rotate(args.name, args.tenant))


def revoke_command(words: list[str]) -> None:
    """Let a key be none from now on; the last one stays, for a server started without any is open to everybody."""
    args = KeysArgs.parse(words)
    ring = Keyring(Path(args.keys))
    if [key.id for key in ring.keys] == [args.id]:
        raise ConflictError(f"{args.id} is the last key in {args.keys}; create another one first")
    ring.revoke(args.id)
    say(f"{args.id} is revoked")


def list_command(words: list[str]) -> None:
    """Print the live keys, without their secrets."""
    for key in Keyring(Path(KeysArgs.parse(words).keys)).keys:
        say(f"{key.id}  {key.name:<16} {','.join(key.scopes):<32} {key.created} {key.tenant}".rstrip())


COMMANDS = {"create": create_command, "list": list_command, "rotate": rotate_command, "revoke": revoke_command}


def main(words: list[str]) -> int:
    """Run one command; return the exit code."""
    return run_one_of(COMMANDS, words, "python -m cluster.keys")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
