"""The data folder: what it must hold, so that a lost or older log is noticed before anyone builds on it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from cluster.config import Config
from cluster.errors import ConfigError, LogError, StorageError
from cluster.storage import write_whole
from serve.state.decision_log import DecisionLog
from serve.state.decision_tables import PostgresDecisions, SqliteDecisions
from serve.state.event_log import EventLog
from serve.state.postgres_log import PostgresLog, connect, holds_log
from serve.state.sqlite_log import FILE, SqliteLog
from train.bundle_state import read_manifest

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
VARIABLE = "LIVESHELF_LOG"  # in the environment: it may hold a password


class FolderManifest(Config):
    """What the folder held when it was last described: on opening, after a snapshot, on closing."""

    log_id: str = Field(description="drawn when the log began")
    bundle: str = Field(description="version that the log was last opened with")
    epoch: int = Field(description="how often the log was opened")
    first_seq: int = Field(description="of the oldest event kept")
    last_seq: int = Field(description="of the newest event; later ones may have followed")


def open_folder(folder: Path, bundle: str, bootstrap: bool) -> EventLog:
    """Return the log of a data folder; one that is missing, or lacks events it had, is refused."""
    before, url = _read(folder), database()
    if not url and before is not None and not (folder / FILE).exists():
        raise LogError(f"{folder} had a log with {before.last_seq} events, now {FILE} is missing; restore it")
    log = PostgresLog.open(url, folder, bootstrap) if url else SqliteLog.open(folder, bootstrap)
    if before is not None and (log.log_id != before.log_id or log.last_seq < before.last_seq):
        log.close()
        raise LogError(
            f"{folder} had log {before.log_id} up to event {before.last_seq}, now {log.place} has {log.log_id} up to "
            f"{log.last_seq}; restore the log, or give a new data folder"
        )
    describe(log, bundle)
    return log


def open_decisions(folder: Path, log: EventLog) -> DecisionLog:
    """Return the decisions that lie beside an open log."""
    if url := database():
        return PostgresDecisions(url, log.epoch, log.forgotten)
    return SqliteDecisions.open(folder, log.forgotten)


@contextmanager
def opened_log(bundle_folder: Path, data_folder: Path) -> Iterator[EventLog]:
    """Yield a log that no store holds, and let go of it."""
    log = open_folder(data_folder, read_manifest(bundle_folder).version, bootstrap=False)
    try:
        yield log
    finally:
        log.close()


def begin(folder: Path, bundle: str) -> None:
    """Begin a log in a data folder, or a database, that never had one."""
    if url := database():
        with connect(url) as connection:
            begun = holds_log(connection)  # opening it would take it from the store that has it
    else:
        begun = (folder / FILE).exists()
    if not begun:
        open_folder(folder, bundle, bootstrap=True).close()


def database() -> str:
    """Return the URL of the PostgreSQL database that holds the log, empty where a file of the data folder does."""
    url = os.environ.get(VARIABLE, "")
    if url and not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError(f"{VARIABLE} begins with {url.partition(':')[0]!r}; give postgresql://user@host/database")
    return url


def describe(log: EventLog, bundle: str) -> None:
    """Write down what the folder holds now, if there is room."""
    manifest = FolderManifest(
        log_id=log.log_id,
        bundle=bundle,
        epoch=log.epoch,
        last_seq=log.last_seq,
        first_seq=log.removals.first_seq or min(1, log.last_seq),
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
