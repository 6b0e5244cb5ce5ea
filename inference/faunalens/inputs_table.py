"""Tables of adverts (CSV, JSON lines, Parquet) to photos with their advert and other columns."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from faunalens.errors import FailureKind, FileError, UsageError
from faunalens.inputs_item import Item
from faunalens.inputs_remote import Remote, is_url
from faunalens.output_formats import pyarrow
from faunalens.record import Failure

_KINDS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"} | {
    ".parquet": "parquet"
}
# Taken if the user names no column, in this order.
_IMAGE_NAMES = (
    "image", "image_url", "image_path", "photo", "photo_url", "picture", "img", "images", "photos",
    "file", "filename", "file_name", "path", "url", "source",
)  # fmt: skip
_MAX_CELL = 10_000_000
_BATCH = 256  # rows of Parquet, which may hold the photos themselves


@dataclass(frozen=True)
class Columns:
    """Which columns of a table say what.

    Attributes:
        image: The photo (path, URL, or the bytes themselves; a list of them is several photos). If
            None, the first of the usual names that there is.
        ad: The advert id; none if None.
    """

    image: str | None = None
    ad: str | None = None


def is_table(path: str) -> bool:
    """Whether the name says table."""
    return os.path.splitext(path)[1].lower() in _KINDS


def read_table(path: str, columns: Columns, remote: Remote) -> Iterator[Item]:
    """One item per photo, row by row; a row that cannot be read gives a failed one.

    Paths in a table are taken from its folder if they lead to a file there, else as they are.

    Raises:
        FileError: The table cannot be read.
        UsageError: It has not the column asked for; names those it has.
        MissingExtraError: Parquet without pyarrow.
    """
    read = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
    image: str | None = None
    try:
        for place, row in read[_KINDS[os.path.splitext(path)[1].lower()]](path):
            if isinstance(row, str):
                failure = Failure(FailureKind.UNSUPPORTED, f"{place} of the table: {row}")
                yield Item(f"{path}, {place}", failure=failure)
                continue
            if image is None:
                image = _image_column(path, list(row), columns)
            yield from _photos(path, place, row, image, columns.ad, remote)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error


def _image_column(path: str, names: list[str], columns: Columns) -> str:
    for wanted in (columns.image, columns.ad):
        if wanted is not None and wanted not in names:
            raise UsageError(f"{path} has no column {wanted!r}; it has {', '.join(names)}")
    if columns.image is not None:
        return columns.image
    known = {name.lower(): name for name in names}
    for name in _IMAGE_NAMES:
        if name in known:
            return known[name]
    raise UsageError(
        f"which column of {path} holds the photos? Name it with --image-column; there are "
        f"{', '.join(names)}"
    )


def _photos(
    table: str, place: str, row: dict[str, Any], image: str, ad: str | None, remote: Remote
) -> Iterator[Item]:
    value = row.get(image)
    rest = {
        name: plain
        for name, cell in row.items()
        if name not in (image, ad) and (plain := _plain(cell)) is not _BINARY
    }
    id_ = None if ad is None or row.get(ad) in (None, "") else str(row[ad])
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    for number, one in enumerate(value if isinstance(value, list) else [value]):
        item = _photo(table, f"{place} photo {number + 1}" if number else place, one, remote)
        yield item.of_advert(id_, rest)


def _photo(table: str, place: str, value: Any, remote: Remote) -> Item:
    name = value
    if isinstance(value, dict):  # as Hugging Face data sets hold images
        name = value.get("path")
        if isinstance(value.get("bytes"), bytes):
            name, value = name or f"{table}, {place}", value["bytes"]
    if isinstance(value, bytes):
        return Item(name if isinstance(name, str) else f"{table}, {place}", value)
    if not isinstance(name, str) or not name.strip():
        message = f"{place} of the table names no photo"
        return Item(f"{table}, {place}", failure=Failure(FailureKind.MISSING, message))
    name = name.strip()
    if is_url(name):
        return remote.item(name)
    beside = os.path.join(os.path.dirname(table), name)
    return Item(beside if os.path.isfile(beside) else name)


_BINARY = object()


def _plain(value: Any) -> Any:
    """What JSON can hold; bytes are left out, dates and the like become text."""
    if isinstance(value, bytes) or (isinstance(value, dict) and "bytes" in value):
        return _BINARY
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)
    return value


def _csv(path: str) -> Iterator[tuple[str, dict[str, Any] | str]]:
    csv.field_size_limit(_MAX_CELL)
    # A byte that is not UTF-8 does not cost its row: it is kept as an escape.
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as handle:
        first = handle.readline()
        handle.seek(0)
        # Excel writes semicolons where the comma is the decimal sign.
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(handle, delimiter=delimiter)
        header: list[str] | None = None
        while True:
            begins = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield f"line {begins}", str(error)
                continue
            if header is None:
                header = cells
            elif len(cells) == len(header):
                yield f"line {begins}", dict(zip(header, cells, strict=True))
            elif cells:
                yield f"line {begins}", f"{len(cells)} cells for {len(header)} columns"


def _jsonl(path: str) -> Iterator[tuple[str, dict[str, Any] | str]]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"line {number}", f"not JSON: {error}"
                continue
            yield f"line {number}", row if isinstance(row, dict) else "not a JSON object"


def _parquet(path: str) -> Iterator[tuple[str, dict[str, Any] | str]]:
    pa, parquet = pyarrow()
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except pa.ArrowException as error:
        raise FileError(f"cannot read {path} after row {number}: {error}") from error
