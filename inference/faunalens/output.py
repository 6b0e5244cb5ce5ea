"""Where the rows of a scan go: stdout, a file, or a folder of parts.

A file or part has its name only when it is whole. Until then its rows are in a journal beside it,
which `--resume` continues; a manifest says with which model and options they were made.
"""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from faunalens.errors import FileError
from faunalens.flat import columns
from faunalens.output_formats import is_folder, pyarrow, read_file, row_writer, write_file
from faunalens.output_journal import Journal, disk_error, lock
from faunalens.output_manifest import Manifest, replace
from faunalens.record import Record

# Readers of folders of Parquet (pyarrow, Spark) pass over names with an underscore.
LOCK = "_lock"
MANIFEST = "_manifest.json"


@dataclass(frozen=True)
class Form:
    """What rows look like and how they are made.

    Attributes:
        kind: One of FORMATS.
        labels: Of the model, for the columns of CSV and Parquet.
        options: All that decides what the rows say (see `Manifest.options`).
        carried: Columns of the table of adverts, as far as they are known in advance.
        embedding: Whether rows carry one.
    """

    kind: str
    labels: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    carried: Sequence[str] = ()
    embedding: bool = False


class Output(ABC):
    """Rows in, results out; a context manager that keeps what was written when left by an error.

    Attributes:
        place: What to tell the user.
    """

    place: str | None = None

    @abstractmethod
    def done(self) -> Iterator[Record]:
        """The rows that an earlier run has left here."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Add one row.

        Raises:
            FileError: It cannot be written; what was written before is kept.
        """

    @abstractmethod
    def finish(self) -> None:
        """All rows are written: give the results their names."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the files."""

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
    kind = _Folder if is_folder(out) else _File
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


class _Stored(Output):
    """What a file and a folder have in common: a journal, a manifest, and columns that grow."""

    _journal: Journal
    _manifest: Manifest

    def __init__(self, out: Path, form: Form) -> None:
        self.place = str(out)
        self._out = out
        self._form = form

    def _new_manifest(self) -> Manifest:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Manifest(
            self._form.options, version("faunalens"), now, carried=list(self._form.carried)
        )

    def _write_file(self, path: Path, records: Iterator[Record]) -> None:
        write_file(
            path,
            self._form.kind,
            records,
            labels=self._form.labels,
            carried=self._manifest.carried,
            embedding=self._form.embedding,
            about={"program": self._manifest.program, **self._manifest.options},
        )

    def _note_columns(self, record: Record) -> None:
        if record.columns:
            known = self._manifest.carried
            known.extend(name for name in record.columns if name not in known)

    def close(self) -> None:
        with suppress(OSError):  # it was removed at the end
            self._journal.close()


class _File(_Stored):
    def __init__(
        self, out: Path, form: Form, *, overwrite: bool, resume: bool, part_rows: int
    ) -> None:
        super().__init__(out, form)
        self._part = out.with_name(out.name + ".part")
        self._part_manifest = out.with_name(out.name + ".part.json")
        self._whole_manifest = out.with_name(out.name + ".manifest.json")
        if not overwrite and not resume:
            if out.exists():
                raise FileError(
                    f"{out} exists; choose another name, or use --overwrite, or --resume to add "
                    "photos that have no row yet"
                )
            if self._part.exists():
                raise FileError(
                    f"{out} was begun and not finished; use --resume to go on, or --overwrite to "
                    "begin anew"
                )
        self._journal = Journal(self._part)  # and nobody else writes here from now on
        try:
            if resume:
                self._continue()
            else:
                self._begin()
        except BaseException:
            if not self._journal.rows and not self._part_manifest.exists():
                self._part.unlink(missing_ok=True)
            self.close()
            raise

    def _begin(self) -> None:
        self._journal.close()
        self._part.unlink()
        self._journal = Journal(self._part)
        self._manifest = self._new_manifest()
        self._manifest.write(self._part_manifest)

    def _continue(self) -> None:
        begun = Manifest.read(self._part_manifest)
        if begun is not None and begun.merging is not None:
            # Did the last run end after giving the results their name, but before tidying up? (If
            # it is the journal that became the results, the empty one is of this run.)
            if not (self._out.parent / begun.merging).exists():
                merged = True
            else:
                merged = begun.merging == self._part.name and self._journal.rows == 0
            if merged:
                self._tidy(begun)
                begun = None
                self._journal.close()
                self._journal = Journal(self._part)
            else:
                begun.merging = None
        if begun is not None:
            begun.must_agree(self._form.options, self._out)
            self._manifest = begun
            return
        if self._out.exists():
            whole = Manifest.read(self._whole_manifest)
            if whole is None:
                raise FileError(
                    f"cannot resume {self._out}: {self._whole_manifest.name}, which says how it "
                    "was made, is not beside it; choose another name or use --overwrite"
                )
            whole.must_agree(self._form.options, self._out)
            self._manifest = whole
            self._manifest.complete = False
            self._manifest.base_rows = sum(1 for _ in read_file(self._out))
        elif self._journal.rows:
            raise FileError(
                f"cannot resume {self._out}: {self._part_manifest.name}, which says how "
                f"{self._part.name} was made, is gone; use --overwrite"
            )
        else:
            self._manifest = self._new_manifest()
        self._manifest.write(self._part_manifest)

    def _base(self) -> Iterator[Record]:
        return read_file(self._out) if self._manifest.base_rows else iter(())

    def done(self) -> Iterator[Record]:
        return chain(self._base(), self._journal.records())

    def write(self, record: Record) -> None:
        self._note_columns(record)
        self._journal.write(record)

    def finish(self) -> None:
        try:
            self._journal.sync()
            if self._manifest.base_rows and not self._journal.rows:
                self._tidy(self._manifest)  # nothing was added
                return
            if self._form.kind == "jsonl" and not self._manifest.base_rows:
                ready = self._part
            else:
                ready = self._out.with_name(self._out.name + ".tmp")
                for record in self._journal.records():
                    self._note_columns(record)
                self._write_file(ready, self.done())
            self._manifest.merging = ready.name
            self._manifest.write(self._part_manifest)
            replace(ready, self._out)
            self._tidy(self._manifest)
        except OSError as error:
            raise disk_error(error, self._out) from error

    def _tidy(self, manifest: Manifest) -> None:
        manifest.complete, manifest.merging, manifest.base_rows = True, None, 0
        manifest.write(self._whole_manifest)
        self._part.unlink(missing_ok=True)
        self._part_manifest.unlink(missing_ok=True)


class _Folder(_Stored):
    def __init__(
        self, out: Path, form: Form, *, overwrite: bool, resume: bool, part_rows: int
    ) -> None:
        super().__init__(out, form)
        self._part_rows = part_rows
        out.mkdir(exist_ok=True)
        held = {path.name for path in out.iterdir()} - {LOCK, MANIFEST + ".tmp"}
        self._lock = lock(out / LOCK)
        try:
            self._open(held, overwrite=overwrite, resume=resume)
        except BaseException:
            self._unlock()
            raise

    def _open(self, held: set[str], *, overwrite: bool, resume: bool) -> None:
        out = self._out
        begun = Manifest.read(self._manifest_path) if not overwrite else None
        if begun is None and held:
            if not overwrite or not self._manifest_path.exists():
                raise FileError(
                    f"{out} holds other files than results; give --out a new or empty folder"
                )
            self._clear()
        elif begun is not None and not resume:
            state = "exists" if begun.complete else "was begun and not finished"
            raise FileError(
                f"{out} {state}; choose another name, or use --overwrite, or --resume to add "
                "photos that have no row yet"
            )
        if begun is None:
            self._manifest = self._new_manifest()
            self._manifest.write(self._manifest_path)
        else:
            begun.must_agree(self._form.options, out)
            self._manifest = begun
        for stale in out.glob("_part-*.jsonl"):
            if stale != self._journal_path:
                stale.unlink()  # it had become a part when the last run ended
        self._journal = Journal(self._journal_path)

    def close(self) -> None:
        super().close()
        self._unlock()

    def _unlock(self) -> None:
        with suppress(OSError):
            os.close(self._lock)
            (self._out / LOCK).unlink()

    @property
    def _manifest_path(self) -> Path:
        return self._out / MANIFEST

    @property
    def _number(self) -> str:
        return f"part-{len(self._manifest.parts):05}"

    @property
    def _journal_path(self) -> Path:
        return self._out / f"_{self._number}.jsonl"

    def _clear(self) -> None:
        for pattern in ("part-*", "_part-*", MANIFEST + "*"):
            for path in self._out.glob(pattern):
                path.unlink()

    def done(self) -> Iterator[Record]:
        parts = (read_file(self._out / part["name"]) for part in self._manifest.parts)
        return chain(chain.from_iterable(parts), self._journal.records())

    def write(self, record: Record) -> None:
        self._note_columns(record)
        self._journal.write(record)
        if self._journal.rows >= self._part_rows:
            self._close_part()
            self._journal = Journal(self._journal_path)

    def finish(self) -> None:
        if self._journal.rows:
            self._close_part()
        else:
            self._journal.remove()
        self._manifest.complete = True
        try:
            self._manifest.write(self._manifest_path)
        except OSError as error:
            raise disk_error(error, self._out) from error

    def _close_part(self) -> None:
        name = f"{self._number}.{self._form.kind}"
        try:
            self._journal.sync()
            for record in self._journal.records():
                self._note_columns(record)
            scratch = self._out / f"_{name}.tmp"
            self._write_file(scratch, self._journal.records())
            replace(scratch, self._out / name)
            self._manifest.parts.append({"name": name, "rows": self._journal.rows})
            self._manifest.complete = False
            try:
                self._manifest.write(self._manifest_path)
            except OSError:
                self._manifest.parts.pop()
                raise
            self._journal.remove()
        except OSError as error:
            raise disk_error(error, self._out) from error
