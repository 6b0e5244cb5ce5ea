"""Rows on their way to a results file, such that a kill at any moment loses none that is whole.

Rows are appended as JSON lines with one write each, whatever format is asked for, and turned into
that format when all are there: JSON lines are the one format of the three whose torn end can be
recognised and cut off.
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from faunalens.errors import FileError
from faunalens.record import Record, read_records

_SYNC_EVERY_S = 5.0  # what a loss of power may cost


class Journal:
    """A file of rows, open for appending, and locked against a second run.

    A torn or damaged end, from a kill, a full disk or a loss of power, is cut off when it is
    opened.

    Attributes:
        rows: How many it holds.

    Raises:
        FileError: It cannot be written, or another run is writing it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = lock(path)
        try:
            self._end, self.rows = _whole_rows(path)
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
        except BaseException:
            os.close(self._file)
            raise
        self._synced = time.monotonic()

    def write(self, record: Record) -> None:
        """Append one row.

        Raises:
            FileError: No space, or another failure of the disk; the rows before are safe.
        """
        line = record.to_json().encode("ascii") + b"\n"
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
            if time.monotonic() - self._synced > _SYNC_EVERY_S:
                self.sync()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise disk_error(error, self.path) from error
        self._end += len(line)
        self.rows += 1

    def sync(self) -> None:
        """Bring what was written to the disk."""
        os.fsync(self._file)
        self._synced = time.monotonic()

    def records(self) -> Iterator[Record]:
        """The rows it held when this was called."""
        return islice(read_records(self.path), self.rows)

    def close(self) -> None:
        """Close it; it can be opened again."""
        os.close(self._file)

    def remove(self) -> None:
        """Close and delete it."""
        self.close()
        self.path.unlink()


def disk_error(error: OSError, path: Path) -> FileError:
    """What to tell a user whose disk failed in the middle of a run."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "no space left; free some"
    else:
        reason = f"{error.strerror or error}; mend that"
    return FileError(
        f"cannot write {path}: {reason} and run the same command with --resume: nothing that was "
        "done is lost"
    )


def _whole_rows(path: Path) -> tuple[int, int]:
    """(bytes, rows) up to the first line that is not a whole record."""
    end = rows = 0
    with path.open("rb") as lines:
        for line in lines:
            try:
                if not line.endswith(b"\n"):
                    break
                Record.from_dict(json.loads(line))
            except (ValueError, TypeError, RecursionError):
                break
            end += len(line)
            rows += 1
    return end, rows


def lock(path: Path) -> int:
    """Open a file, created if need be, that no other run has open; its descriptor.

    Raises:
        FileError: It cannot be written, or another run has it.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}") from error
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise FileError(f"another run is writing {path}; wait for it or stop it") from error
    except (ImportError, OSError):
        pass  # Windows, or a file system without locks
    return file
