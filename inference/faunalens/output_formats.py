"""Records to files of JSON lines, CSV and Parquet, and back from all three."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from faunalens.errors import FileError, MissingExtraError, UsageError
from faunalens.flat import FIXED, active, columns, flatten, inert, text, unflatten
from faunalens.record import Record, decode_embedding, encode_embedding, read_records

FORMATS = ("jsonl", "csv", "parquet")
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"} | {
    ".csv": "csv",
    ".parquet": "parquet",
}
METADATA_KEY = "faunalens"
"""Key of the schema metadata of a Parquet file, whose value is a JSON object: how it was made."""

_BATCH = 1000  # rows held at once


def format_for(out: Path | None, chosen: str | None) -> str:
    """The format asked for, else the one that the file's name says, else JSON lines.

    Raises:
        UsageError: The name of a file ends in something else.
    """
    if chosen is not None:
        return chosen
    if out is None or is_folder(out):
        return "jsonl"
    kind = SUFFIXES.get(out.suffix.lower())
    if kind is None:
        raise UsageError(
            f"cannot tell the format from {out}; end it in .jsonl, .csv or .parquet, or use "
            "--format"
        )
    return kind


def is_folder(out: Path) -> bool:
    """Whether results go to a folder of parts: it is one, or its name has no suffix."""
    return out.is_dir() or (not out.suffix and not out.is_file())


def write_file(
    out: Path,
    kind: str,
    records: Iterable[Record],
    *,
    labels: Sequence[str],
    carried: Sequence[str],
    embedding: bool,
    about: Mapping[str, Any],
) -> None:
    """Write a file and sync it to disk. It is the caller's to give it a name that says "whole".

    Args:
        labels, carried, embedding: Which columns there are (see `flat.columns`).
        about: How the records were made; goes into a Parquet file's metadata.

    Raises:
        OSError: Such as no space left.
        MissingExtraError: Parquet without pyarrow.
    """
    if kind == "parquet":
        _write_parquet(out, records, columns(labels, carried, embedding=embedding), about)
    else:
        with out.open("w", encoding="utf-8", newline="") as handle:
            write = row_writer(handle, kind, columns(labels, carried, embedding=embedding))
            for record in records:
                write(record)
    with out.open("rb+") as handle_again:
        os.fsync(handle_again.fileno())


def row_writer(handle: IO[str], kind: str, names: Sequence[str]) -> Callable[[Record], None]:
    """A function that writes one record to an open text file, as JSON lines or CSV."""
    if kind == "jsonl":
        return lambda record: void(handle.write(record.to_json() + "\n"))
    table = csv.writer(handle, lineterminator="\n")
    table.writerow(inert(text(name)) for name in names)

    def write_row(record: Record) -> None:
        row = flatten(record)
        table.writerow(
            inert(value) if isinstance(value, str) else value
            for value in (row.get(name) for name in names)
        )

    return write_row


def void(_: object) -> None:
    """Nothing, for a value nobody needs."""


def read_file(path: Path) -> Iterator[Record]:
    """Records of one results file of any of the formats, in order.

    Raises:
        FileError: Unreadable, or not results; names the line or row.
        MissingExtraError: Parquet without pyarrow.
    """
    kind = SUFFIXES.get(path.suffix.lower(), "jsonl")
    if kind == "jsonl":
        yield from read_records(path)
        return
    rows = _read_csv(path) if kind == "csv" else _read_parquet(path)
    number = 0
    try:
        for row in rows:
            number += 1
            yield unflatten(row)
    except (ValueError, TypeError, csv.Error) as error:
        raise FileError(
            f"{path}, row {number + 1}: {error}; expected results of `faunalens scan`"
        ) from error
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as handle:
        for raw in csv.DictReader(handle):
            row: dict[str, Any] = {}
            for quoted, value in raw.items():
                name = active(quoted or "")
                kind = FIXED.get(name, float if name.startswith("p.") else str)
                if not isinstance(value, str):
                    raise ValueError("the row has more or fewer cells than the header")
                row[name] = None if value == "" else kind(active(value))
            yield row


def pyarrow() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`.

    Raises:
        MissingExtraError: They are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("parquet", "Parquet") from error
    return pyarrow, pyarrow.parquet


def _write_parquet(
    out: Path, records: Iterable[Record], names: Sequence[str], about: Mapping[str, Any]
) -> None:
    pa, parquet = pyarrow()
    types = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    fields = []
    for name in names:
        if name == "embedding":
            fields.append(pa.field(name, pa.list_(pa.float32())))
        elif name.startswith("p."):
            fields.append(pa.field(name, pa.float32()))
        else:
            fields.append(pa.field(name, types[FIXED.get(name, str)]))
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(about)})
    # A handle of our own: after a failure pyarrow would keep its file open.
    with (
        out.open("wb") as handle,
        parquet.ParquetWriter(handle, schema, compression="zstd") as writer,
    ):
        source = iter(records)
        while batch := [flatten(record) for record in islice(source, _BATCH)]:
            for row in batch:
                if row["embedding"] is not None:
                    row["embedding"] = decode_embedding(row["embedding"])
            arrays = [
                pa.array([row.get(field.name) for row in batch], field.type) for field in schema
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    pa, parquet = pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                for row in batch.to_pylist():
                    for name, value in row.items():
                        if name.startswith("p.") and value is not None:
                            row[name] = round(value, 6)  # as in the other formats
                    if row.get("embedding") is not None:
                        import numpy as np

                        row["embedding"] = encode_embedding(np.array(row["embedding"], np.float32))
                    yield row
    except pa.ArrowException as error:
        raise FileError(f"{path} is not a Parquet file that can be read: {error}") from error
