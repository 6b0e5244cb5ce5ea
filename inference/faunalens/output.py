"""Where the rows of a scan go: stdout, a file, or a folder of parts.

A file or part has its name only when it is whole. Until then its rows are in a journal beside it,
which `--resume` continues; a manifest says with which model and options they were made.
"""

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from faunalens.errors import FileError
from faunalens.flat import columns
from faunalens.output_file import FileOutput
from faunalens.output_folder import FolderOutput
from faunalens.output_formats import is_folder, pyarrow, read_file, row_writer
from faunalens.output_manifest import Manifest
from faunalens.output_target import MANIFEST, Form, Output
from faunalens.record import Record


def open_output(
    out: Path | None, form: Form, *, overwrite: bool = False, resume: bool = False,
    part_rows: int = 10_000,
) -> Output:  # fmt: skip
    """Begin or continue an output.

    Args:
        out: None for stdout; a folder (or a name without suffix) for parts of `part_rows` rows.
        overwrite: Replace what is there.
        resume: Continue what is there, or begin if nothing is.

    Raises:
        FileError: Something is there and neither was asked for; it was made differently; or it
            cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    if form.kind == "parquet":
        pyarrow()  # fail before the work, not after it
    if out is None:
        return _Stdout(form)
    kind = FolderOutput if is_folder(out) else FileOutput
    try:
        return kind(out, form, overwrite=overwrite, resume=resume, part_rows=part_rows)
    except OSError as error:
        raise FileError(f"cannot write {out}: {error.strerror}") from error


def read_results(path: Path) -> Iterator[Record]:
    """Records of a results file or folder of any format, in order.

    Raises:
        FileError: Unreadable, or not results of `faunalens scan`.
    """
    if not path.is_dir():
        return read_file(path)
    manifest = Manifest.read(path / MANIFEST)
    if manifest is None:
        raise FileError(f"{path} has no {MANIFEST}; expected a folder that `faunalens scan` wrote")
    return chain.from_iterable(read_file(path / part["name"]) for part in manifest.parts)


class _Stdout(Output):
    def __init__(self, form: Form) -> None:
        names = columns(form.labels, form.carried, embedding=form.embedding)
        self._write = row_writer(sys.stdout, form.kind, names)

    def done(self) -> Iterator[Record]:
        return iter(())

    def write(self, record: Record) -> None:
        self._write(record)

    def finish(self) -> None:
        sys.stdout.flush()

    def close(self) -> None:
        pass
