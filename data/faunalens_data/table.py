"""CSV files read with line numbers and written whole or not at all; tables for the terminal."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from faunalens_data.files import write_text
from faunalens_data.row import ManifestError

_MAX_CELL = 131_072  # characters: no cell of a manifest is nearly as long


def read_table(
    path: Path, needed: Sequence[str], known: Sequence[str]
) -> Iterator[tuple[int, dict[str, str] | ManifestError]]:
    """Yield the line (where it begins) and the cells, stripped, of every row of a CSV file.

    A byte order mark and unknown columns are let pass; blank lines are skipped.

    Raises:
        ManifestError: The file is not UTF-8 text, or its header lacks a needed column.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(
            f"expected a CSV file in UTF-8, found byte 0x{data[error.start]:02x};"
            " save it as 'CSV UTF-8'",
            line=line,
            where=f"{path}, line {line}",
        ) from error
    csv.field_size_limit(_MAX_CELL)  # one setting for the whole process, which others change
    reader = csv.reader(io.StringIO(text, newline=""))
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if cells and header is None:
                header = [name.strip() for name in cells]
                _check_header(path, header, needed, line)
            elif cells and header is not None:
                yield line, _cells(header, cells, known)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ManifestError(str(error), line=line, where=f"{path}, line {line}") from error
    if header is None:
        raise ManifestError(
            f"the file is empty, expected a header line: {','.join(known)}", line=1, where=str(path)
        )


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with a header line, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _check_header(path: Path, header: list[str], needed: Sequence[str], line: int) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        hint = ""
        if len(header) == 1 and ";" in header[0]:
            hint = "; columns are separated by ';' here, expected ','"
        raise ManifestError(
            f"missing column {', '.join(missing)} in the header{hint}", line=line, where=str(path)
        )
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ManifestError(f"column {', '.join(twice)} is there twice", line=line, where=str(path))


def _cells(
    header: list[str], cells: list[str], known: Sequence[str]
) -> dict[str, str] | ManifestError:
    if len(cells) != len(header):
        return ManifestError(
            f"the row has {len(cells)} cells, the header has {len(header)};"
            " put a cell that contains a comma in double quotes"
        )
    # A file's name may begin or end with a space; nothing else may.
    return {
        name: cell if name == "file" else cell.strip()
        for name, cell in zip(header, cells, strict=True)
        if name in known
    }


def aligned(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as text: words to the left, numbers to the right, nothing a terminal would obey."""
    cells = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [list(columns), ["-" * width for width in widths], *cells]
    right = [
        all(row[number] == "-" or row[number].isdigit() for row in cells) and bool(cells)
        for number in range(len(columns))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def amount(number: int, noun: str) -> str:
    """`1 picture`, `1,200 pictures`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _printable(cell: object) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in str(cell))
