"""What to judge: folders, files and globs to a stream of photo paths."""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faunalens.decode import PHOTO_SUFFIXES
from faunalens.record import Failure

# First bytes of the photo formats in PHOTO_SUFFIXES, for files without a suffix: scrapers often
# name a photo by its hash alone.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")


@dataclass(frozen=True)
class Item:
    """One photo to judge.

    Attributes:
        source: What its record calls it; a path to read if `data` is None.
        data: The bytes of the file, if they were read already.
        ad: Advert id, from a table of adverts.
        columns: Other columns of that table.
        failure: Why it cannot be judged, if that is known already.
    """

    source: str
    data: bytes | None = None
    ad: str | None = None
    columns: Mapping[str, Any] | None = None
    failure: Failure | None = None


def find_photos(paths: Iterable[str]) -> Iterator[str]:
    """Expand what a user named, in order; folders by name, so that runs can be compared.

    A folder gives the files in and below it whose names say photo, or that have no suffix and
    begin like one; links to folders are not followed (they may lead in a circle). A file, or a
    path that does not exist, is given as it is: its record says what is wrong with it. `*`, `?`,
    `[...]` and `**` are expanded where the shell did not.

    Nothing is held but the names of one folder at a time.
    """
    for path in paths:
        if os.path.isdir(path):
            yield from _walk(path)
        elif not os.path.lexists(path) and glob.has_magic(path):
            found = False
            for match in sorted(glob.iglob(path, recursive=True)):
                if not os.path.isdir(match):
                    found = True
                    yield match
                elif not path.endswith("**"):  # which has listed what is in the folder already
                    found = True
                    yield from _walk(match)
            if not found:
                yield path
        else:
            yield path


def _walk(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        yield folder  # its record says "denied" or what else happened
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif _is_photo(entry):
            yield entry.path


def _is_photo(entry: os.DirEntry[str]) -> bool:
    suffix = Path(entry.name).suffix.lower()
    if suffix in PHOTO_SUFFIXES:
        return not entry.is_dir()
    if suffix or not entry.is_file():
        return False
    try:
        with open(entry.path, "rb") as handle:
            head = handle.read(16)
    except OSError:
        return False
    return head.startswith(_MAGIC) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp"
