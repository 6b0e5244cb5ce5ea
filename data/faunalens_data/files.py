"""Writing results: whole or not at all, and never over something that is already there."""

import os
import tempfile
from pathlib import Path

from faunalens.errors import FaunalensError, UsageError


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to a temporary neighbour of `path`, then move it into place.

    A reader sees the old file or the new one, never half of one.

    Raises:
        FaunalensError: The folder does not exist or cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise FaunalensError(f"cannot write {path}: {error.strerror or error}") from error


def refuse_overwrite(path: Path, overwrite: bool) -> None:
    """Raise unless `path` is free to be written.

    Raises:
        UsageError: It exists and `overwrite` is false.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another name or add --overwrite")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
