"""The log as a file of events that fitting reads: what live shoppers did becomes what the next bundle learns from."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import DataError
from cluster.storage import whole_file
from serve.state.event_log import LoggedEvent
from serve.state.folder import opened_log

PAGE = 10_000  # events at a time
SCHEMA = pa.schema([
    ("user_id", pa.string()), ("item_id", pa.string()), ("event_type", pa.string()),
    ("timestamp", pa.timestamp("ms", tz="UTC")), ("value", pa.float64()), ("quantity", pa.float64()),
    ("price", pa.float64()), ("session_id", pa.string()), ("order_id", pa.string()), ("text", pa.string()),
])  # fmt: skip


def write_events(pages: Iterable[list[LoggedEvent]], path: Path) -> int:
    """Write events with an item to a parquet file, whole or not at all; return how many.

    Raises DataError where there is none: an empty file would be refused by whoever reads it.
    """
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as aside:
        with pq.ParquetWriter(aside, SCHEMA) as file:
            for page in pages:
                rows = [_row(event) for event in page if event.item_id is not None]
                file.write_table(pa.Table.from_pylist(rows, SCHEMA))
                count += len(rows)
        if not count:
            raise DataError("the log holds no event with an item; nothing was written")
    return count


def logged_pages(bundle_folder: Path, data_folder: Path, after: int) -> Iterator[list[LoggedEvent]]:
    """Yield the events after version `after` of a log that no store holds."""
    with opened_log(bundle_folder, data_folder) as log:
        while page := log.events(after, PAGE):
            yield page
            after = page[-1].seq


def _row(event: LoggedEvent) -> dict[str, object]:
    more = json.loads(event.payload)
    return {
        "user_id": event.user_id, "item_id": event.item_id, "event_type": event.event_type,
        "timestamp": event.timestamp_ms, "value": event.value, "quantity": more.get("quantity"),
        "price": more.get("price"), "session_id": more.get("session"), "order_id": event.order_key or None,
        "text": more.get("text"),
    }  # fmt: skip
