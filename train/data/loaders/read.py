"""Table files of the usual formats, read whole or refused with one sentence."""

import gzip
import json
import logging
import re
import zlib
from pathlib import Path
from typing import IO, cast
from zipfile import BadZipFile

import pandas as pd
import pyarrow as pa

from cluster.errors import DataError
from train.data.loaders.names import ID_SPELLINGS, plain

log = logging.getLogger(__name__)

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".tsv", ".jsonl", ".json", ".json.gz", ".xlsx", ".xls")
BROKEN_FILE = (OSError, ValueError, KeyError, ImportError, EOFError, BadZipFile, zlib.error, pa.ArrowException)
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
SEPARATORS = ",;\t|"
# A character of several bytes as UTF-8 spells it; Latin-1 would be two or more letters of which one is hardly used.
SPELLED = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def read_table(path: Path) -> pd.DataFrame:
    """Return a file as a table; ids in text files stay text, so that "007" and "NA" stay what they are."""
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; give a file with a header and at least one row")
    try:
        frame = _read(path)
    except BROKEN_FILE as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"cannot read {path}: {reason}; is it whole, and of the kind its name says?") from error
    if frame.empty:
        raise DataError(f"{path} has columns but no rows; give a file with at least one row")
    return frame


def _read(path: Path) -> pd.DataFrame:
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        return pd.read_parquet(path)
    if kind in ("xlsx", "xls"):
        sheets = pd.read_excel(path, sheet_name=None, dtype=object)  # as written: "007" is no number
        return pd.concat(sheets.values(), ignore_index=True)
    if kind in ("json", "jsonl"):
        return _read_json(path)
    if kind in ("csv", "tsv"):
        return _read_text(path)
    raise ValueError(f"its name ends in none of {', '.join(SUFFIXES)}")


def _read_json(path: Path) -> pd.DataFrame:
    """Return a row per object, of a list or of lines; pandas' own reader guesses at ids and times."""
    with _open(path) as file:
        if _first_line(path).lstrip().startswith("["):
            return pd.DataFrame(json.load(file))
        return pd.DataFrame([json.loads(line) for line in file if line.strip()])


def _read_text(path: Path) -> pd.DataFrame:
    try:
        return _read_csv(path, "utf-8-sig")
    except UnicodeDecodeError:
        _refuse_mixed(path)
        log.warning("not UTF-8, read as Latin-1 path=%s", path)
        return _read_csv(path, "latin-1")


def _refuse_mixed(path: Path) -> None:
    """Raise DataError where some lines are UTF-8 and others are not: read in one way, some texts would be wrong."""
    broken, spelled = None, False
    with _open(path) as file:
        for row, line in enumerate(file, start=1):
            spelled = spelled or SPELLED.search(line) is not None
            broken = broken or _first_broken(line, row)
    if broken and spelled:
        row, column, byte = broken
        raise DataError(
            f"{path} mixes encodings: byte {column} of line {row} is 0x{byte:02x}, which is no UTF-8, but other texts "
            "in it are; write that line, or the whole file, as UTF-8"
        )


def _first_broken(line: bytes, row: int) -> tuple[int, int, int] | None:
    """Return the row, the place from 1 and the value of the first byte that is no UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return row, error.start + 1, line[error.start]
    return None


def _read_csv(path: Path, encoding: str) -> pd.DataFrame:
    separator = max(SEPARATORS, key=_first_line(path).count)
    columns = pd.read_csv(path, sep=separator, encoding=encoding, nrows=0).columns
    ids = {column for column in columns if plain(column) in ID_SPELLINGS}
    return pd.read_csv(
        path, sep=separator, encoding=encoding, low_memory=False, dtype=dict.fromkeys(ids, str),
        keep_default_na=False, na_values={column: [""] if column in ids else MISSING for column in columns},
    )  # fmt: skip


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _first_line(path: Path) -> str:
    with _open(path) as file:
        return file.readline().decode("latin-1")
