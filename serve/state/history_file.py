"""The log as files that fitting reads: what shoppers did, and what the shop wrote, goes into the next bundle."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import DataError
from cluster.storage import whole_file
from serve.state.catalogue import LiveCatalogue
from serve.state.event_log import LoggedEvent
from serve.state.folder import opened_log
from train.data.schema import ITEM_COLUMNS
from train.data.steps.catalogue import LIST_COLUMNS, NUMBER_COLUMNS

LIVE, LIVE_ITEMS = "live.parquet", "live_items.parquet"  # beside a shop's own files, where `fit` reads them
PAGE = 10_000  # events at a time
SCHEMA = pa.schema([
    ("user_id", pa.string()), ("item_id", pa.string()), ("event_type", pa.string()),
    ("timestamp", pa.timestamp("ms", tz="UTC")), ("value", pa.float64()), ("quantity", pa.float64()),
    ("price", pa.float64()), ("session_id", pa.string()), ("order_id", pa.string()), ("text", pa.string()),
])  # fmt: skip


ITEM_SCHEMA = pa.schema([
    (name, pa.float64() if name in NUMBER_COLUMNS else pa.list_(pa.string()) if name in LIST_COLUMNS else pa.string())
    for name in ITEM_COLUMNS if name != "image"  # over HTTP mostly an address, and `fit` reads files
])  # fmt: skip


def write_items(catalogue: LiveCatalogue, path: Path) -> int:
    """Write what the shop says of the items that it wrote and still offers, to a parquet file; return how many.

    Where there are none there is no file: an empty one would be refused by whoever reads it.
    """
    written = sorted((item_idx, content) for item_idx, content in catalogue.written.items() if content)
    rows = [{"item_id": catalogue.item_ids[item_idx], **json.loads(content)} for item_idx, content in written]
    if not rows:
        path.unlink(missing_ok=True)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as aside:
        pq.write_table(pa.Table.from_pylist(rows, ITEM_SCHEMA), aside)
    return len(rows)


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
