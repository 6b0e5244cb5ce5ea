"""One photo to judge, wherever it comes from; and what says that something is a photo."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Self

from faunalens.decode import PHOTO_SUFFIXES
from faunalens.record import Failure

# First bytes of the photo formats in PHOTO_SUFFIXES, for files without a suffix: scrapers often
# name a photo by its hash alone.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
HEAD_BYTES = 16
"""What `looks_like_photo` needs of a file."""


@dataclass(frozen=True)
class Item:
    """One photo to judge.

    Attributes:
        source: What its record calls it; a path to read if there is neither `data` nor `load`.
        data: The bytes of the file, if they were read already.
        load: Gets the bytes; raises PhotoError.
        remote: Whether `load` waits for a network, so that several should wait at once.
        ad: Advert id, from a table of adverts.
        columns: Other columns of that table.
        failure: Why it cannot be judged, if that is known already.
        duplicate_of: Source of an identical file that has gone before.
        sha256: Of the bytes, if it was made already.
    """

    source: str
    data: bytes | None = None
    load: Callable[[], bytes] | None = None
    remote: bool = False
    ad: str | None = None
    columns: Mapping[str, Any] | None = None
    failure: Failure | None = None
    duplicate_of: str | None = None
    sha256: str | None = None

    def read(self) -> bytes:
        """The content, which must be here or come by `load`.

        Raises:
            PhotoError: It cannot be got.
        """
        if self.data is not None:
            return self.data
        assert self.load is not None
        return self.load()

    def of_advert(self, ad: str | None, columns: Mapping[str, Any] | None) -> Self:
        """The same photo as part of an advert."""
        return replace(self, ad=ad, columns=columns or None)


def photo_name(name: str) -> tuple[bool, bool]:
    """(whether the suffix says photo, whether there is no suffix and the content must say)."""
    path = PurePath(name)
    if path.name.startswith("._"):
        return False, False  # macOS puts such a companion beside each file of an archive
    suffix = path.suffix.lower()
    return suffix in PHOTO_SUFFIXES, not suffix


def looks_like_photo(head: bytes) -> bool:
    """Whether a file that begins so is a photo."""
    return head.startswith(_MAGIC) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp"
