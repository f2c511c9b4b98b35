"""What belongs to one user alone: private folders, and the token that lets a process into the cluster."""

import os
import secrets
from pathlib import Path

from cluster.errors import RuntimeStartError

TOKEN_BYTES = 32


def private_folder(path: Path) -> Path:
    """Return a folder that only we can enter, made where it is missing; refuse another's."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise RuntimeStartError(
            f"cannot use {path}: {error.strerror}; set LIVESHELF_HOME to a folder of yours"
        ) from None
    if found.st_uid != os.getuid():
        raise RuntimeStartError(f"{path} belongs to another user; remove it, or set LIVESHELF_HOME to another folder")
    path.chmod(0o700)
    return path


def ensure_token(path: Path) -> Path:
    """Return the token's path after making it where it is missing; refuse one that others can read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _checked(path)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(TOKEN_BYTES))
    return path


def _checked(path: Path) -> Path:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise RuntimeStartError(f"token {path} is open to others (mode {mode:o}); run `chmod 600 {path}`")
    return path
