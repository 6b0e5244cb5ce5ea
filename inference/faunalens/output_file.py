"""Results in one file, which has its name only when it is whole."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from faunalens.errors import FileError
from faunalens.output_formats import read_file
from faunalens.output_journal import Journal, disk_error
from faunalens.output_manifest import Manifest, replace
from faunalens.output_target import Form, Stored
from faunalens.record import Record


class FileOutput(Stored):
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
