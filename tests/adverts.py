"""Archives and tables of adverts, as tests give them to `faunalens scan`."""

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import plain


def png(colour: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    buffer = io.BytesIO()
    plain(colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, GREY = png(), png((9, 9, 9))
MEMBERS = {
    "a/red.png": RED,
    "../../etc/passwd.png": GREY,
    "/root/absolute.png": RED,
    "notes.txt": b"no photo",
    "d41d8cd98f00": RED,  # no suffix
    "README": b"no suffix, and no photo",
    "text.jpg": b"a text",
    "__MACOSX/._red.png": b"macOS companion",
}
PHOTOS = {
    "a/red.png": "alert",
    "../../etc/passwd.png": "clear",
    "/root/absolute.png": "alert",
    "d41d8cd98f00": "alert",
    "text.jpg": "not_an_image",
}


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


ARCHIVES: dict[str, Callable[[Path], Path]] = {
    "a.tar": lambda path: tar(path, MEMBERS),
    "a.tar.gz": lambda path: tar(path, MEMBERS, "w:gz"),
    "a.tgz": lambda path: tar(path, MEMBERS, "w:gz"),
    "a.tar.bz2": lambda path: tar(path, MEMBERS, "w:bz2"),
    "a.tar.xz": lambda path: tar(path, MEMBERS, "w:xz"),
    "a.zip": lambda path: zipped(path, MEMBERS),
}


def write_table(path: Path, adverts: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(adverts), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in adverts))
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as handle:
            delimiter = "\t" if path.suffix == ".tsv" else ";"
            table = csv.DictWriter(handle, list(adverts[0]), delimiter=delimiter)
            table.writeheader()
            table.writerows(adverts)
    return path
