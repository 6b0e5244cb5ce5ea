"""Results in a folder of parts, each of which has its name only when it is whole."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from faunalens.errors import FileError
from faunalens.output_formats import read_file
from faunalens.output_journal import Journal, disk_error, lock
from faunalens.output_manifest import Manifest, replace
from faunalens.output_target import LOCK, MANIFEST, Form, Stored
from faunalens.record import Record


class FolderOutput(Stored):
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
