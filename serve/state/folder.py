"""The data folder: what it must hold, so that a lost or older log is noticed before anyone builds on it."""

import logging
from pathlib import Path

from pydantic import Field, ValidationError

from cluster.config import Config
from cluster.errors import LogError, StorageError
from cluster.storage import write_whole
from serve.state.event_log import FILE, EventLog

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


class FolderManifest(Config):
    """What the folder held when it was last described: on opening, after a snapshot, on closing."""

    log_id: str = Field(description="drawn when the log began")
    bundle: str = Field(description="version that the log was last opened with")
    epoch: int = Field(description="how often the log was opened")
    first_seq: int = Field(description="of the oldest event kept")
    last_seq: int = Field(description="of the newest event; later ones may have followed")


def open_folder(folder: Path, bundle: str, bootstrap: bool) -> EventLog:
    """Return the log of a data folder; one that is missing, or lacks events it had, is refused."""
    before = _read(folder)
    if before is not None and not (folder / FILE).exists():
        raise LogError(f"{folder} had a log with {before.last_seq} events, now {FILE} is missing; restore it")
    log = EventLog.open(folder, bootstrap)
    if before is not None and (log.log_id != before.log_id or log.last_seq < before.last_seq):
        log.close()
        raise LogError(
            f"{folder} had log {before.log_id} up to event {before.last_seq}, now it has {log.log_id} up to "
            f"{log.last_seq}; restore {FILE}"
        )
    describe(log, bundle)
    return log


def begin(folder: Path, bundle: str) -> None:
    """Begin a log in a data folder that never had one."""
    if not (folder / FILE).exists():
        open_folder(folder, bundle, bootstrap=True).close()


def describe(log: EventLog, bundle: str) -> None:
    """Write down what the folder holds now, if there is room."""
    manifest = FolderManifest(
        log_id=log.log_id, bundle=bundle, epoch=log.epoch, first_seq=min(1, log.last_seq), last_seq=log.last_seq
    )
    try:
        write_whole(log.folder / MANIFEST, manifest.model_dump_json(indent=1))
    except StorageError as error:
        # The older description stays true: it only says what must be there at least.
        logger.warning("data folder not described error=%s", error)


def _read(folder: Path) -> FolderManifest | None:
    try:
        return FolderManifest.model_validate_json((folder / MANIFEST).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError) as error:
        raise LogError(
            f"{folder / MANIFEST} cannot be read: {error}; restore it, or delete it to trust the log"
        ) from None
