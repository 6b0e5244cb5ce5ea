"""Identical files are judged once: their later occurrences take over the first one's judgement."""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from faunalens.batch_task import Judged
from faunalens.decode import read_file
from faunalens.errors import PhotoError
from faunalens.inputs_item import Item
from faunalens.record import Record


class Seen:
    """The files judged so far, by SHA-256; on disk (about 700 bytes each), so memory stays flat.

    A context manager; the index goes when it is left.

    Attributes:
        duplicates: How many were found.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="faunalens-")
        # autocommit off and no journal: it need not survive this process
        self._index = sqlite3.connect(Path(self._folder.name) / "seen.sqlite")
        self._index.execute("pragma journal_mode = off")
        self._index.execute("pragma synchronous = off")
        self._index.execute("create table seen (sha blob primary key, source text, row text)")
        self.duplicates = 0

    def __enter__(self) -> "Seen":
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()
        self._folder.cleanup()

    def mark(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; those whose file was there before say so, and need no judging.

        Files are read here, and their bytes go along.
        """
        for item in items:
            if item.failure is None and item.duplicate_of is None:
                try:
                    data = item.data if item.data is not None else read_file(item.source).data
                except PhotoError:
                    yield item  # its record will say so
                    continue
                sha = hashlib.sha256(data).hexdigest()
                first = self._add(sha, item.source)
                if first is None:
                    yield replace(item, data=data)
                else:
                    yield replace(item, data=None, duplicate_of=first, sha256=sha)
            else:
                yield item

    def settle(self, judged: Iterable[Judged]) -> Iterator[Judged]:
        """The same records; those of duplicates with the judgement of the first such file."""
        for one in judged:
            record = one.record
            if record.duplicate_of is None:
                self.remember(record)
            elif (row := self._row(record.sha256)) is not None:
                self.duplicates += 1
                first = Record.from_dict(json.loads(row))
                one = Judged(
                    replace(
                        first,
                        source=record.source,
                        ad=record.ad,
                        columns=record.columns,
                        duplicate_of=record.duplicate_of,
                    ),
                    0.0,
                )
            yield one

    def remember(self, record: Record) -> None:
        """A record of this run or an earlier one."""
        if record.sha256 is None or record.duplicate_of is not None:
            return
        bare = replace(record, ad=None, columns=None)
        self._index.execute(
            "insert into seen values (?, ?, ?) on conflict (sha) do update set row = excluded.row",
            (bytes.fromhex(record.sha256), record.source, bare.to_json()),
        )

    def _add(self, sha: str, source: str) -> str | None:
        """The source of the first file with these bytes; None if it is this one."""
        key = bytes.fromhex(sha)
        with closing(self._index.execute("select source from seen where sha = ?", (key,))) as found:
            row = found.fetchone()
        if row is not None:
            return str(row[0])
        name = source.encode("utf-8", "backslashreplace").decode()
        self._index.execute("insert into seen values (?, ?, null)", (key, name))
        return None

    def _row(self, sha: str | None) -> str | None:
        with closing(
            self._index.execute("select row from seen where sha = ?", (bytes.fromhex(sha or ""),))
        ) as found:
            row = found.fetchone()
        return None if row is None else row[0]
