"""What lies on the store's node alone, for replicas on any other: the bundle, once, and the keys, followed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster.errors import BundleError, NotFoundError, UnavailableError
from cluster.keys import Keyring
from cluster.storage import write_whole
from train.bundle_state import MANIFEST, read_manifest

log = logging.getLogger(__name__)

EVERY_S = 1.0  # between two looks at the keys
Fetch = Callable[[str], Awaitable[bytes | None]]  # the content of a file of the store's node, None where there is none


@asynccontextmanager
async def bundle_here(folder: Path, fetch: Fetch) -> AsyncIterator[Path]:
    """Yield the folder itself where this node has it, else a copy that is gone after the block.

    Whoever reads the copy compares it with the checksums of its manifest, as in any folder.
    """
    if (folder / MANIFEST).exists():
        yield folder
        return
    with TemporaryDirectory(prefix="liveshelf-bundle-") as copy:
        await _copy(folder, MANIFEST, Path(copy), fetch)
        for name in read_manifest(Path(copy)).files:
            await _copy(folder, name, Path(copy), fetch)
        log.info("fetched bundle=%s", folder)
        yield Path(copy)


class FollowedKeys:
    """A copy of the keys of the store's node, about a second old; while the store is away, as they were then."""

    def __init__(self, origin: Keyring, fetch: Fetch) -> None:
        """Copy into a folder that this process alone can enter."""
        self._files, self._fetch = origin.files, fetch
        self._folder = TemporaryDirectory(prefix="liveshelf-keys-")
        self.keyring = Keyring(Path(self._folder.name) / origin.path.name)

    async def look(self) -> None:
        """Make the copy what the keys are now. The marker goes first: at no moment are there keys and an open door."""
        for source, copy in zip(reversed(self._files), reversed(self.keyring.files), strict=True):
            content = await self._fetch(str(source))
            if content is None:
                copy.unlink(missing_ok=True)
            elif not copy.exists() or copy.read_bytes() != content:
                write_whole(copy, content.decode())

    async def follow(self) -> None:
        """Look for as long as the process lives."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except (UnavailableError, OSError, ValueError) as error:
                log.warning("keys not looked at, those of before remain error=%s", error)


async def _copy(folder: Path, name: str, target: Path, fetch: Fetch) -> None:
    place = target / name
    if not place.resolve().is_relative_to(target.resolve()):
        raise BundleError(f"{folder} names a file outside itself, {name!r}; it is not one of ours")
    content = await fetch(str(folder / name))
    if content is None:
        raise NotFoundError(f"{folder} has no {name} on the store's node; publish the bundle there")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
