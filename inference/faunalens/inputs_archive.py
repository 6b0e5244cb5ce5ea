"""Photos inside tar and zip archives, streamed: nothing is unpacked to disk.

Names of members are only ever text, so a name that climbs out of the archive leads nowhere. What an
archive may unpack to is bounded, each photo and all in all.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import IO, Any

from faunalens import decode
from faunalens.errors import FailureKind, PhotoError
from faunalens.inputs_item import Item, looks_like_photo, photo_name
from faunalens.record import Failure

SEPARATOR = "::"
"""Between the path of an archive and the name of its member, in the source of a record."""

_TARS: Mapping[str, Callable[[IO[bytes]], Any]] = {
    ".tar": lambda handle: handle,
    ".tar.gz": lambda handle: gzip.GzipFile(fileobj=handle),
    ".tgz": lambda handle: gzip.GzipFile(fileobj=handle),
    ".tar.bz2": bz2.BZ2File,
    ".tar.xz": lambda handle: _Xz(handle),
}
# A photo hardly shrinks: an archive that grows more than this is made to harm.
_MAX_RATIO = 200
_FREE_BYTES = 1 << 30
_MAX_SIDECAR = 1 << 20
_MAX_HELD = 32  # photos waiting for their sidecar
_XZ_MEMORY = 256 << 20
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
    NotImplementedError, LookupError, OverflowError, RuntimeError,
)  # fmt: skip


def is_archive(path: str) -> bool:
    """Whether the name says tar or zip."""
    return path.lower().endswith((*_TARS, ".zip"))


def photos_in(path: str, handle: IO[bytes], size: int, *, ad: str | None = None) -> Iterator[Item]:
    """The photos in an archive, in its order.

    An archive that is damaged, or expands beyond measure, ends with an item of its own name that
    says so, after the photos that came before.

    Args:
        path: Its name, for the sources.
        handle: Open for reading, and seekable.
        size: Of the archive in bytes.
        ad: Of a WebDataset shard: field of a photo's `.json` sidecar that holds the advert id. The
            other fields are carried through.
    """
    budget = _Budget(_FREE_BYTES + _MAX_RATIO * size)
    try:
        if path.lower().endswith(".zip"):
            yield from _zip(path, handle, budget)
        else:
            kind = next(suffix for suffix in sorted(_TARS, key=len, reverse=True)
                        if path.lower().endswith(suffix))  # fmt: skip
            yield from _tar(path, _Bounded(_TARS[kind](handle), budget, charge=kind != ".tar"), ad)
    except _TooMuch as error:
        yield Item(path, failure=Failure(FailureKind.TOO_LARGE, str(error)))
    except _DAMAGE as error:
        message = f"the archive is damaged: {error or type(error).__name__}"
        yield Item(path, failure=Failure(FailureKind.TRUNCATED, message))


def reread(source: str) -> decode.FileBytes:
    """The file that a record's `source` names, on disk or inside an archive.

    Raises:
        PhotoError: It is not there (any more), or cannot be read.
    """
    path, separator, name = source.partition(SEPARATOR)
    if not separator or not is_archive(path):
        return decode.read_file(source)
    try:
        with open(path, "rb") as handle:
            for item in photos_in(path, handle, os.fstat(handle.fileno()).st_size):
                if item.source == source and item.failure is None:
                    return decode.FileBytes.of(item.read())
    except OSError as error:
        raise PhotoError(FailureKind.MISSING, f"no archive at {path} any more") from error
    raise PhotoError(FailureKind.MISSING, f"the archive holds no {name} any more")


class _TooMuch(PhotoError):
    """The archive expands beyond measure."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureKind.TOO_LARGE, message)


class _Budget:
    """Bytes that an archive may still expand to."""

    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _TooMuch(
                f"the archive expands to more than {_MAX_RATIO} times its size; photos do not, so "
                "it is not read further"
            )


class _Bounded:
    """What `tarfile` reads from: no single read may be large, all together neither.

    A header can claim to be gigabytes long, and tarfile would read it whole.
    """

    def __init__(self, raw: Any, budget: _Budget, *, charge: bool) -> None:
        self._raw = raw
        self._budget = budget
        self._charge = charge
        self._at = 0
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= decode.MAX_BYTES + (1 << 20):
            raise _TooMuch(f"the archive has a header or member of {size:,} bytes")
        self.last = self._raw.read(size)
        self._at += len(self.last)
        if self._charge:
            self._budget.spend(len(self.last))
        return self.last

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, whence: int = 0) -> int:
        if not self._charge:
            self._at = self._raw.seek(position, whence)
            return self._at
        if whence or position < self._at:
            raise tarfile.StreamError("seeking backwards in a compressed archive")
        while self._at < position and self.read(min(position - self._at, 1 << 20)):
            pass
        return self._at


def _tar(path: str, handle: _Bounded, ad: str | None) -> Iterator[Item]:
    with tarfile.open(fileobj=handle, mode="r:") as tar:  # type: ignore[call-overload]
        held: list[Item] = []
        sidecar: dict[str, Any] = {}
        key = None
        while (member := tar.next()) is not None:
            tar.members = []  # it would keep them all
            # A WebDataset sample: members in a row with the same name up to its first dot.
            folder, _, base = member.name.rpartition("/")
            sample = (folder, base.partition(".")[0])
            if sample != key or len(held) >= _MAX_HELD:
                yield from (_with(item, sidecar, ad) for item in held)
                held, sidecar, key = [], {}, sample
            if member.isreg() and base.endswith(".json") and member.size <= _MAX_SIDECAR:
                sidecar = _sidecar(_content(tar, member))
            elif (item := _tar_photo(path, tar, member)) is not None:
                held.append(item)
        yield from (_with(item, sidecar, ad) for item in held)
        if handle.last.strip(b"\0"):
            raise tarfile.ReadError("a header makes no sense; what follows is lost")


def _tar_photo(path: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Item | None:
    suffixed, plain = photo_name(member.name)
    source = path + SEPARATOR + member.name
    if not (suffixed or (plain and member.isreg())):
        return None
    if member.issym() or member.islnk():
        return _failed(source, FailureKind.UNSUPPORTED, "a link inside an archive is not followed")
    if not member.isreg():
        return None
    if member.size > decode.MAX_BYTES:
        return _failed(source, FailureKind.TOO_LARGE, f"file has {member.size:,} bytes")
    data = _content(tar, member)
    return Item(source, data) if suffixed or looks_like_photo(data) else None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    handle = tar.extractfile(member)
    return b"" if handle is None else handle.read(decode.MAX_BYTES + 1)


def _sidecar(data: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _with(item: Item, sidecar: dict[str, Any], ad: str | None) -> Item:
    if not sidecar:
        return item
    columns = dict(sidecar)
    value = columns.pop(ad, None) if ad else None
    return item.of_advert(None if value is None else str(value), columns)


def _zip(path: str, handle: IO[bytes], budget: _Budget) -> Iterator[Item]:
    with zipfile.ZipFile(handle) as archive:
        for member in archive.infolist():
            suffixed, plain = photo_name(member.filename)
            if member.is_dir() or not (suffixed or plain):
                continue
            source = path + SEPARATOR + member.filename
            load = partial(_inflate, archive, member, budget)
            if suffixed:
                yield Item(source, load=load)
                continue
            try:
                data = load()
            except PhotoError:
                continue  # no photo by its name, and its content cannot say
            if looks_like_photo(data):
                yield Item(source, data)


def _inflate(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: _Budget) -> bytes:
    if member.file_size > decode.MAX_BYTES:
        raise PhotoError(FailureKind.TOO_LARGE, f"file has {member.file_size:,} bytes")
    if member.flag_bits & 1:
        raise PhotoError(FailureKind.DENIED, "encrypted; unpack it with its password first")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        raise PhotoError(FailureKind.UNSUPPORTED, "an unusual compression; pack it with deflate")
    try:
        with archive.open(member) as handle:
            data = handle.read(decode.MAX_BYTES + 1)
    except _DAMAGE as error:
        raise PhotoError(FailureKind.TRUNCATED, f"damaged inside the archive: {error}") from error
    budget.spend(len(data))
    return data


def _failed(source: str, kind: FailureKind, message: str) -> Item:
    return Item(source, failure=Failure(kind, message))


class _Xz:
    """Reads .xz with bounded memory: its header may ask for a dictionary of 4 GB."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._inflater = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        self._rest = b""

    def read(self, size: int) -> bytes:
        out = io.BytesIO()
        while out.tell() < size:
            if self._inflater.eof:
                self._rest = self._inflater.unused_data or self._raw.read(1 << 16)
                if not self._rest.strip(b"\0"):
                    break
                self._inflater = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            elif self._inflater.needs_input and not self._rest:
                self._rest = self._raw.read(1 << 16)
                if not self._rest:
                    raise EOFError("it is cut short")
            out.write(self._inflater.decompress(self._rest, size - out.tell()))
            self._rest = b""
        return out.getvalue()
