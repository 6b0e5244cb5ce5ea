"""What every output of a scan has in common: rows in, results out, and what is known of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from faunalens.output_formats import write_file
from faunalens.output_journal import Journal
from faunalens.output_manifest import Manifest
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


class Stored(Output):
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
