"""Fingerprints on disk, one per distinct file: written once, kept when the work is cut short."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faunalens.errors import FileError
from faunalens.linking.fingerprint import HASH_BITS, Fingerprint

_SCHEMA = 1
_HEAD = "index.json"
_ROWS = "fingerprints.bin"


class Store:
    """A folder of fingerprints of one model, in the order in which they were added.

    Rows are appended and never changed, so after a crash all but the last few are there. What is
    in the folder can be made again from the photos.

    Args:
        folder: Made if it does not exist.
        model_sha256: Of the model file that gives the embeddings; a store of another model is
            started anew.
        dimensions: Of an embedding.

    Raises:
        FileError: The folder is not an index of ours, or cannot be read or written.
    """

    def __init__(self, folder: Path, model_sha256: str, dimensions: int) -> None:
        self.folder = folder
        self._dtype = np.dtype(
            [
                ("sha256", "S32"),
                ("hashes", "u1", (2, HASH_BITS // 8)),
                ("contrast", "u1"),
                ("embedding", "<f2", (dimensions,)),
            ]
        )
        self._head = {"schema": _SCHEMA, "model": model_sha256, "dimensions": dimensions}
        self._rows: npt.NDArray[Any]
        try:
            self._open()
        except OSError as error:
            raise FileError(f"cannot use the index {folder}: {error.strerror}") from error
        self._number = {key: n for n, key in enumerate(self._keys())}

    def __len__(self) -> int:
        return len(self._rows)

    def number(self, sha256: str) -> int | None:
        """Row of the file with this SHA-256 (hex); None if it has none."""
        return self._number.get(_key(sha256))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a row on disk."""
        return self._dtype

    @property
    def hashes(self) -> npt.NDArray[np.uint8]:
        """`(N, 2, 32)`: of the photos, and of their mirror images."""
        return self._rows["hashes"]

    @property
    def contrasts(self) -> npt.NDArray[np.uint8]:
        """`(N,)`."""
        return self._rows["contrast"]

    @property
    def embeddings(self) -> npt.NDArray[np.float16]:
        """`(N, D)`."""
        return self._rows["embedding"]

    def add(self, fingerprints: Iterable[tuple[str, Fingerprint]]) -> None:
        """Append fingerprints with the SHA-256 (hex) of their files.

        Raises:
            FileError: The disk is full, or the folder has gone.
        """
        found = list(fingerprints)
        rows = np.zeros(len(found), self._dtype)
        for row, (sha256, one) in zip(rows, found, strict=True):
            row["sha256"] = _key(sha256)
            row["hashes"] = one.hashes
            row["contrast"] = one.contrast
            row["embedding"] = one.embedding
        try:
            with (self.folder / _ROWS).open("ab") as handle:
                handle.write(rows.tobytes())
        except OSError as error:
            raise FileError(
                f"cannot write to the index {self.folder}: {error.strerror}; what is done so far "
                "is kept, run the same command again"
            ) from error
        start = len(self._rows)
        self._number.update((_key(sha256), start + n) for n, (sha256, _) in enumerate(found))
        self._map()

    def _open(self) -> None:
        head = self.folder / _HEAD
        if self.folder.exists() and not head.is_file() and any(self.folder.iterdir()):
            raise FileError(
                f"{self.folder} is not an index of faunalens; name another folder with --index"
            )
        self.folder.mkdir(exist_ok=True)
        try:
            known = json.loads(head.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            known = None
        if known != self._head:
            for path in self.folder.iterdir():
                if path.name == _ROWS or path.suffix == ".usearch":
                    path.unlink()
            part = head.with_suffix(".part")
            part.write_text(json.dumps(self._head) + "\n", encoding="utf-8")
            os.replace(part, head)
        rows = self.folder / _ROWS
        rows.touch()
        # A row cut short by a crash would shift all that follow.
        os.truncate(rows, rows.stat().st_size // self._dtype.itemsize * self._dtype.itemsize)
        self._map()

    def _map(self) -> None:
        path = self.folder / _ROWS
        # An empty file cannot be mapped.
        self._rows = (
            np.memmap(path, self._dtype, "r") if path.stat().st_size else np.zeros(0, self._dtype)
        )

    def _keys(self) -> list[bytes]:
        # numpy takes trailing zero bytes off an S value, as `_key` does.
        return self._rows["sha256"].tolist()  # type: ignore[no-any-return]


def _key(sha256: str) -> bytes:
    return bytes.fromhex(sha256).rstrip(b"\0")
