"""The manifest: rows read from CSV or from a folder of folders, written, and fingerprinted.

A manifest is a CSV file in UTF-8 with a header line; its columns are the fields of `Row`, several
labels in one cell joined by `;`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from faunalens.errors import UsageError
from faunalens_data.folder import from_folder
from faunalens_data.overrides import apply_overrides
from faunalens_data.row import (
    NEGATIVE_KINDS,
    RESERVED_LABELS,
    ManifestError,
    Row,
    known_labels,
)
from faunalens_data.table import read_table, write_table

__all__ = [
    "COLUMNS",
    "NEEDED_COLUMNS",
    "NEGATIVE_KINDS",
    "RESERVED_LABELS",
    "DataSet",
    "ManifestError",
    "Row",
    "apply_overrides",
    "find_manifest",
    "fingerprint",
    "from_folder",
    "known_labels",
    "load_rows",
    "read_manifest",
    "scan_manifest",
    "write_manifest",
]

COLUMNS = tuple(field.name for field in fields(Row))
"""The columns, in the order they are written."""

NEEDED_COLUMNS = ("file", "sha256", "labels", "negative_kind", "group", "source")
"""Columns that must be in the header. The others may be missing, and their cells empty."""


class DataSet(NamedTuple):
    """Rows, and the folder below which their `file` paths lie."""

    rows: list[Row]
    images: Path


def read_manifest(path: str | Path) -> list[Row]:
    """Read a manifest.

    Raises:
        ManifestError: The first thing wrong with it, with its line; `scan_manifest` has them all.
    """
    rows = []
    for line, row in scan_manifest(path):
        if isinstance(row, ManifestError):
            raise ManifestError(*row.problems, line=line, where=f"{path}, line {line}")
        rows.append(row)
    if not rows:
        raise ManifestError("the manifest has no rows", where=str(path))
    return rows


def scan_manifest(path: str | Path) -> Iterator[tuple[int, Row | ManifestError]]:
    """Yield the line and the row of every picture, or the error of a row that cannot be one.

    Raises:
        ManifestError: The file as a whole is no manifest (not UTF-8 text, columns missing).
    """
    for line, cells in read_table(Path(path), NEEDED_COLUMNS, COLUMNS):
        if isinstance(cells, ManifestError):
            yield line, cells
            continue
        try:
            yield line, _row(cells)
        except ManifestError as error:
            yield line, error


def write_manifest(path: str | Path, rows: Iterable[Row]) -> None:
    """Write a manifest; `path` holds the old file or the new one, never half of one."""
    write_table(
        Path(path),
        COLUMNS,
        (
            [
                ";".join(value) if isinstance(value, tuple) else value
                for value in (getattr(row, name) for name in COLUMNS)
            ]
            for row in rows
        ),
    )


def fingerprint(rows: Iterable[Row]) -> str:
    """SHA-256 (hex) over what training sees of the rows, whatever their order.

    That is the pictures, what they are said to show, and which of them belong together; not file
    names, sources or notes.
    """
    facts = sorted(
        json.dumps([row.sha256, sorted(row.labels), row.negative_kind, row.group]) for row in rows
    )
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def find_manifest(path: str | Path) -> Path | None:
    """The manifest that `path` means, or None for a folder of label folders.

    Raises:
        UsageError: There is nothing at `path`.
    """
    path = Path(path)
    if path.is_dir():
        inside = path / "manifest.csv"
        return inside if inside.is_file() else None
    if not path.exists():
        raise UsageError(f"{path} does not exist; expected a manifest.csv or a folder of folders")
    return path


def load_rows(
    path: str | Path, *, images: str | Path | None = None, progress: bool = False
) -> DataSet:
    """Read a manifest, or a folder of folders (see `from_folder`), whichever `path` is.

    Args:
        path: A manifest, a folder with a `manifest.csv` in it, or a folder of label folders.
        images: Where the pictures of a manifest are; if not given, in the folder `images` beside
            it if there is one, else beside it.
        progress: Show a bar while a folder is read, if stderr is a terminal.

    Raises:
        ManifestError: A row or a picture cannot be used.
        UsageError: There is nothing at `path`.
    """
    manifest = find_manifest(path)
    if manifest is None:
        return DataSet(from_folder(path, progress=progress), Path(path))
    return DataSet(read_manifest(manifest), Path(images or images_beside(manifest)))


def images_beside(manifest: Path) -> Path:
    """The folder that the `file` column of a manifest starts from, unless the user says another."""
    images = manifest.parent / "images"
    return images if images.is_dir() else manifest.parent


def _row(cells: dict[str, str]) -> Row:
    problems = []
    sizes: dict[str, int | None] = {}
    for name in ("width", "height"):
        text = cells.get(name, "")
        try:
            sizes[name] = int(text) if text else None
        except ValueError:
            sizes[name] = None
            problems.append(f"{name} {text!r} is not a whole number of pixels")
    try:
        row = Row(
            file=cells["file"],
            sha256=cells["sha256"],
            labels=tuple(filter(None, map(str.strip, cells["labels"].split(";")))),
            negative_kind=cells["negative_kind"] or None,
            group=cells["group"],
            source=cells["source"],
            source_path=cells.get("source_path", ""),
            commit=cells.get("commit", ""),
            licence=cells.get("licence", ""),
            rights=cells.get("rights") or "unstated",
            photo_kind=cells.get("photo_kind", ""),
            width=sizes["width"],
            height=sizes["height"],
            note=cells.get("note", ""),
        )
    except ManifestError as error:
        raise ManifestError(*problems, *error.problems, file=cells["file"]) from None
    if problems:
        raise ManifestError(*problems, file=cells["file"])
    return row
