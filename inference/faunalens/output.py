"""Records to JSON lines or CSV, on stdout or atomically to a file."""

import csv
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from faunalens.errors import FailureKind, FileError, UsageError
from faunalens.record import Failure, Record

FORMATS = ("jsonl", "csv")

Writer = Callable[[Record], None]


def format_for(out: Path | None, chosen: str | None) -> str:
    """The format asked for, else the one that the file's name says, else JSON lines.

    Raises:
        UsageError: The name ends in something that is neither.
    """
    if chosen is not None:
        return chosen
    suffix = out.suffix.lower() if out else ".jsonl"
    if suffix in (".jsonl", ".ndjson", ".json"):
        return "jsonl"
    if suffix == ".csv":
        return "csv"
    raise UsageError(
        f"cannot tell the format from {out}; end it in .jsonl or .csv, or use --format"
    )


@contextmanager
def open_output(
    out: Path | None, kind: str, labels: tuple[str, ...], *, overwrite: bool
) -> Iterator[Writer]:
    """A function that writes one record.

    A file appears under its name only when all records are in it; until then, and after an error,
    they are in `<name>.part`.

    Args:
        out: None for stdout.
        kind: One of FORMATS.
        labels: Columns of the CSV form.
        overwrite: Replace an existing file.

    Raises:
        FileError: The file exists, or cannot be written.
    """
    if out is None:
        yield _writer(sys.stdout, kind, labels)
        sys.stdout.flush()
        return
    if out.exists() and not overwrite:
        raise FileError(f"{out} exists; choose another name or use --overwrite")
    part = out.with_name(out.name + ".part")
    try:
        handle = part.open("w", encoding="utf-8", newline="", errors="backslashreplace")
    except OSError as error:
        raise FileError(f"cannot write {out}: {error.strerror}") from error
    try:
        with handle:
            yield _writer(handle, kind, labels)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise FileError(
            f"cannot write {out}: {error.strerror}; what was done is in {part}"
        ) from error
    os.replace(part, out)


def _writer(handle: IO[str], kind: str, labels: tuple[str, ...]) -> Writer:
    if kind == "jsonl":

        def write_line(record: Record) -> None:
            handle.write(record.to_json() + "\n")

        return write_line

    blank = Record(source="", model={}, failure=Failure(FailureKind.INTERNAL, ""))
    columns = list(_flat(blank.to_dict(), labels))
    table = csv.DictWriter(handle, columns, lineterminator="\n")
    table.writeheader()

    def write_row(record: Record) -> None:
        table.writerow(_flat(record.to_dict(), labels))

    return write_row


def _flat(raw: dict[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    """One level deep: `failure.kind`, `model.name`, `p.ivory`, ..."""
    out: dict[str, Any] = {}
    for key, value in raw.items():
        if key == "failure":
            for part in ("kind", "message"):
                out[f"failure.{part}"] = value[part] if value else None
        elif key == "model":
            for part in ("name", "version", "sha256"):
                out[f"model.{part}"] = value.get(part)
        elif key == "probabilities":
            for label in labels:
                out[f"p.{label}"] = value.get(label) if value else None
        elif isinstance(value, str):
            out[key] = inert(value)
        else:
            out[key] = value
    return out


def inert(text: str) -> str:
    """Keep a spreadsheet from running a file name as a formula (OWASP, CSV injection)."""
    if text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
