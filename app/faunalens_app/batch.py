"""What is checked many at a time: a zip, photos, or results, opened with distrust."""

import csv
import secrets
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from faunalens.decode import MAX_BYTES, PHOTO_SUFFIXES
from faunalens.errors import FaunalensError, FileError
from faunalens.flat import inert
from faunalens.output_formats import read_file
from faunalens.record import Record
from faunalens_app.catalogue import Catalogue
from faunalens_app.uploads import Upload

MOST = 5000
"""Photos in one go."""

_MOST_MEMBERS = 50_000
_MOST_UNPACKED_BYTES = 4 * 1024**3
_MOST_RATIO = 100  # photos hardly shrink; 100 MB that become 10 GB are a bomb
_CHUNK = 1024 * 1024
_RESULTS = frozenset({".jsonl", ".csv"})


class BatchError(FaunalensError):
    """Something added cannot be used; the message is in the officer's language."""


class Opened(NamedTuple):
    """What was added.

    Attributes:
        photos: To be judged.
        records: Judged already, from results files.
    """

    photos: list[Upload]
    records: list[Record]


def open_all(uploads: Sequence[Upload], folder: Path, say: Catalogue) -> Opened:
    """Sort what was added into photos and records; zips are unpacked below `folder`.

    Raises:
        BatchError: A zip or a results file cannot be used, or there are too many photos.
    """
    photos: list[Upload] = []
    records: list[Record] = []
    for upload in uploads:
        suffix = Path(upload.name).suffix.lower()
        if suffix == ".zip" or zipfile.is_zipfile(upload.path):
            photos += _unpacked(upload, folder, say)
        elif suffix in _RESULTS:
            records += _records(upload, say, MOST - len(photos))
        else:
            photos.append(upload)
        if len(photos) + len(records) > MOST:
            raise BatchError(say("many.too_many", most=say.number(MOST)))
    return Opened(photos, records)


def _unpacked(upload: Upload, folder: Path, say: Catalogue) -> Iterator[Upload]:
    """The photos of a zip, each under a name of ours: a member's own name may lead anywhere."""
    place = folder / f"zip-{secrets.token_hex(8)}"
    place.mkdir(parents=True)
    try:
        with zipfile.ZipFile(upload.path) as archive:
            members = [one for one in archive.infolist() if _is_photo(one)]
            if len(archive.infolist()) > _MOST_MEMBERS or len(members) > MOST:
                raise BatchError(say("many.too_many", most=say.number(MOST)))
            total = sum(one.file_size for one in members)
            packed = max(1, upload.path.stat().st_size)
            if total > _MOST_UNPACKED_BYTES or total > _MOST_RATIO * packed + 50 * _CHUNK:
                raise BatchError(say("many.bomb", name=upload.name))
            for number, member in enumerate(members):
                suffix = PurePosixPath(member.filename).suffix.lower()
                path = place / f"{number}{suffix}"
                _write(archive, member, path)
                yield Upload(path, member.filename)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        # RuntimeError: it has a password. zlib's and lzma's errors are wrapped by _write.
        raise BatchError(say("many.bad_zip", name=upload.name)) from error


def _is_photo(member: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(member.filename)
    hidden = name.name.startswith(".") or "__MACOSX" in name.parts
    return not member.is_dir() and not hidden and name.suffix.lower() in PHOTO_SUFFIXES


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Unpack one member, but no more of it than a photo may have: its header may lie."""
    room = MAX_BYTES + 1  # one too many, so that decoding says that it is too large
    try:
        with archive.open(member) as packed, path.open("wb") as unpacked:
            while room > 0 and (chunk := packed.read(min(_CHUNK, room))):
                unpacked.write(chunk)
                room -= len(chunk)
    except zipfile.BadZipFile:
        pass  # what was read is kept: its record will say that the photo is damaged
    except Exception as error:  # zlib.error, lzma.LZMAError, ...
        if isinstance(error, OSError | RuntimeError | NotImplementedError):
            raise
        path.touch()


def _records(upload: Upload, say: Catalogue, room: int) -> list[Record]:
    found: list[Record] = []
    try:
        for record in read_file(upload.path):
            found.append(record)
            if len(found) > room:
                raise BatchError(say("many.too_many", most=say.number(MOST)))
    except FileError as error:
        text = say("many.bad_results", name=upload.name, line=say.number(len(found) + 1))
        raise BatchError(text) from error
    return found


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that spreadsheets open as meant: UTF-8 with a mark, and no cell a formula."""
    with path.open("w", encoding="utf-8-sig", newline="", errors="backslashreplace") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows([inert(cell) for cell in row] for row in rows)
