"""What to judge: folders, files, globs, archives, tables of adverts and URLs to a stream of photos.

Nothing is held but the names of one folder at a time.
"""

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faunalens.errors import FailureKind
from faunalens.inputs_archive import is_archive, photos_in
from faunalens.inputs_item import HEAD_BYTES, Item, looks_like_photo, photo_name
from faunalens.inputs_remote import Remote, is_url
from faunalens.inputs_table import Columns, is_table, read_table
from faunalens.record import Failure

STDIN = "-"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")  # of shards, as WebDataset writes it


@dataclass(frozen=True)
class Inputs:
    """How to find photos.

    Args:
        columns: Which columns of a table say what.
        remote: Gets what URLs name.
    """

    columns: Columns
    remote: Remote

    def find(self, paths: Iterable[str]) -> Iterator[Item]:
        """Expand what a user named, in order.

        As `find_photos`, and besides: the photos in archives (also in those of a folder), the rows
        of a table of adverts, URLs, ranges such as `shard-{000..127}.tar`, and for `-` the paths
        on standard input, one a line.

        Raises:
            UsageError: A table has not the column asked for.
            FileError: A table cannot be read.
        """
        for path in paths:
            if path == STDIN:
                for line in sys.stdin.buffer:
                    if name := os.fsdecode(line.rstrip(b"\r\n")):
                        yield from self._expand(name)
            else:
                yield from self._expand(path)

    def count(self, paths: Iterable[str]) -> Iterator[object] | None:
        """As many things as `find` gives items; None if only reading it all could tell."""
        named = [one for path in paths for one in expand_range(path)]
        if any(path == STDIN or is_url(path) or is_archive(path) for path in named):
            return None
        if any(is_table(path) for path in named):
            return self.find(named)
        return find_photos(named)

    def _expand(self, path: str) -> Iterator[Item]:
        for one in expand_range(path):
            if is_url(one):
                yield from self.remote.find(one, self.columns.ad)
            elif is_table(one) and os.path.isfile(one):
                yield from read_table(one, self.columns, self.remote)
            else:
                for found in _expand(one, archives=True):
                    if is_archive(found):
                        yield from self._members(found)
                    else:
                        yield Item(found)

    def _members(self, path: str) -> Iterator[Item]:
        if not os.path.isfile(path):
            yield Item(path)  # its record says "missing", or what else it is
            return
        try:
            with open(path, "rb") as handle:
                size = os.fstat(handle.fileno()).st_size
                yield from photos_in(path, handle, size, ad=self.columns.ad)
        except OSError as error:
            failure = Failure(FailureKind.DENIED, f"cannot read the archive: {error.strerror}")
            yield Item(path, failure=failure)


def find_photos(paths: Iterable[str]) -> Iterator[str]:
    """Expand what a user named, in order; folders by name, so that runs can be compared.

    A folder gives the files in and below it whose names say photo, or that have no suffix and
    begin like one; links to folders are not followed (they may lead in a circle). A file, or a
    path that does not exist, is given as it is: its record says what is wrong with it. `*`, `?`,
    `[...]` and `**` are expanded where the shell did not.

    Nothing is held but the names of one folder at a time.
    """
    for path in paths:
        yield from _expand(path, archives=False)


def expand_range(path: str) -> list[str]:
    """`a-{08..10}.tar` to `a-08.tar`, `a-09.tar`, `a-10.tar`; anything else as it is."""
    found = _RANGE.search(path)
    if found is None or os.path.lexists(path):
        return [path]
    first, last = found.groups()
    return [
        path[: found.start()] + str(number).zfill(len(first)) + path[found.end() :]
        for number in range(int(first), int(last) + 1)
    ]


def _expand(path: str, *, archives: bool) -> Iterator[str]:
    if os.path.isdir(path):
        yield from _walk(path, archives)
    elif not os.path.lexists(path) and glob.has_magic(path):
        found = False
        for match in sorted(glob.iglob(path, recursive=True)):
            if not os.path.isdir(match):
                found = True
                yield match
            elif not path.endswith("**"):  # which has listed what is in the folder already
                found = True
                yield from _walk(match, archives)
        if not found:
            yield path
    else:
        yield path


def _walk(folder: str, archives: bool) -> Iterator[str]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        yield folder  # its record says "denied" or what else happened
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, archives)
        elif _is_photo(entry) or (archives and is_archive(entry.name) and not _leads_to_dir(entry)):
            yield entry.path


def _is_photo(entry: os.DirEntry[str]) -> bool:
    suffixed, plain = photo_name(entry.name)
    if suffixed:
        return not _leads_to_dir(entry)
    if not plain or not os.path.isfile(entry):
        return False
    try:
        with open(entry.path, "rb") as handle:
            return looks_like_photo(handle.read(HEAD_BYTES))
    except OSError:
        return False


def _leads_to_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where this user may not look; its record will say so
        return False
