"""Archives, good and hostile."""

import gzip
import json
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adverts import ARCHIVES, GREY, MEMBERS, PHOTOS, RED, tar, zipped
from test_scan import rows, run

from faunalens import inputs_archive
from faunalens.errors import PhotoError
from faunalens.inputs_archive import photos_in, reread
from faunalens.inputs_item import Item


def outcomes(result: Any) -> dict[str, str]:
    return {row["source"]: row["verdict"] or row["failure"]["kind"] for row in rows(result)}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_read_where_they_are(tmp_path: Path, tiny_model_path: Path, name: str) -> None:
    path = ARCHIVES[name](tmp_path / name)
    before = set(tmp_path.rglob("*"))
    for what in (path, tmp_path):  # by name, and found in a folder
        result = run("scan", what, "--model", tiny_model_path, "--workers", 0)
        assert outcomes(result) == {f"{path}::{key}": value for key, value in PHOTOS.items()}
    assert set(tmp_path.rglob("*")) == before, "something was unpacked"
    assert reread(f"{path}::../../etc/passwd.png").data == GREY
    with pytest.raises(PhotoError, match="holds no"):
        reread(f"{path}::none.png")


def test_a_webdataset_shard_carries_its_sidecars(tmp_path: Path, tiny_model_path: Path) -> None:
    for shard in range(2):
        members = {}
        for sample in range(3):
            key = f"{shard}{sample}"
            members[f"{key}.jpg"] = RED
            members[f"{key}.json"] = json.dumps({"id": f"ad{key}", "price": sample}).encode()
        tar(tmp_path / f"shard-{shard:03}.tar", members | {"last.png": GREY})
    result = run(
        "scan", tmp_path / "shard-{000..001}.tar", "--ad-column", "id",
        "--model", tiny_model_path, "--workers", 0,
    )  # fmt: skip
    assert [(row["ad"], (row.get("columns") or {}).get("price")) for row in rows(result)] == [
        ("ad00", 0), ("ad01", 1), ("ad02", 2), (None, None),
        ("ad10", 0), ("ad11", 1), ("ad12", 2), (None, None),
    ]  # fmt: skip


def found(path: Path) -> list[Item]:
    with path.open("rb") as handle:
        return list(photos_in(str(path), handle, path.stat().st_size))


def tar_header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    head = bytearray(512)
    head[: len(name)] = name
    head[100:108] = b"0000644\0"
    head[124:136] = (b"%011o\0" % size) if size < 8**11 else b"\x80" + struct.pack(">QI", 0, 0)
    if size >= 8**11:
        head[124:136] = b"\x80\0\0\0" + struct.pack(">Q", size)
    head[156:157] = kind
    head[257:265] = b"ustar\x0000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def test_bombs_are_not_blown_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_archive, "_FREE_BYTES", 1 << 20)
    monkeypatch.setattr("faunalens.decode.MAX_BYTES", 10 << 20)
    zeros = b"\0" * (1 << 20)
    bombs = {
        # a member that expands a thousandfold, after a photo
        "member.tar.gz": gzip.compress(
            tar(tmp_path / "x", {"a.png": RED}).read_bytes()[:1024]
            + tar_header(b"b.png", 1 << 33) + zeros * 30
        ),
        # a file that is no photo, and must be passed over
        "other.tar.xz": lzma.compress(tar_header(b"b.txt", 1 << 33) + zeros * 30),
        # a header that claims 8 GB: tarfile would read it whole
        "header.tar.gz": gzip.compress(tar_header(b"p", 1 << 33, b"x") + zeros * 30),
        "plain.tar": tar_header(b"p", 1 << 33, b"x") + b"1" * 2048,
    }  # fmt: skip
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)
        items = found(tmp_path / name)
        assert items[-1].source == str(tmp_path / name), name
        assert items[-1].failure is not None, name
        assert items[-1].failure.kind in ("too_large", "truncated"), name
    many = zipped(tmp_path / "many.zip", {f"{n}.png": zeros * 9 for n in range(60)})
    failures = []
    read = 0
    with many.open("rb") as handle:
        for item in photos_in("many.zip", handle, many.stat().st_size):
            try:
                read += len(item.read())
            except PhotoError as error:  # as the run's loader meets it
                failures.append(error.kind)
    assert set(failures) == {"too_large"}
    assert read < 200 * many.stat().st_size + (10 << 20)


def test_xz_may_not_ask_for_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_archive, "_XZ_MEMORY", 1 << 20)
    items = found(tar(tmp_path / "a.tar.xz", MEMBERS, "w:xz"))
    assert [item.failure and item.failure.kind for item in items] == ["truncated"]


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "text": lambda data: b"no archive at all" * 100,
    "cut in a member": lambda data: data[: len(data) // 2 + 100],
    "a header overwritten": lambda data: data[:1024] + b"?" * 512 + data[1536:],
    "flipped": lambda data: data[:700] + bytes(255 - b for b in data[700:900]) + data[900:],
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz", "a.zip"])
def test_a_damaged_archive_says_so(
    tmp_path: Path, tiny_model_path: Path, name: str, damage: str
) -> None:
    whole = ARCHIVES[name](tmp_path / name)
    whole.write_bytes(DAMAGED[damage](whole.read_bytes()))
    result = run("scan", whole, "--model", tiny_model_path, "--workers", 0)
    assert result.exit_code == 3, result.output
    assert "Traceback" not in result.output
    kinds = outcomes(result)
    assert "truncated" in kinds.values() or "not_an_image" in kinds.values()
    assert all(key.startswith(str(whole)) for key in kinds)


def test_links_and_encryption_in_archives_have_records(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    assert [item.failure and item.failure.kind for item in found(path)] == ["unsupported"] * 2
    secret = bytearray(zipped(tmp_path / "s.zip", {"a.png": RED}).read_bytes())
    place = secret.index(b"PK\x01\x02")
    secret[place + 8] |= 1  # the flag "encrypted"
    (tmp_path / "s.zip").write_bytes(secret)
    with (tmp_path / "s.zip").open("rb") as handle:
        (item,) = photos_in("s.zip", handle, len(secret))
        with pytest.raises(PhotoError, match="encrypted"):
            item.read()


def test_a_damaged_member_of_a_zip_costs_its_own_record(
    tmp_path: Path, tiny_model_path: Path
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", RED)
        archive.writestr("b.png", GREY)
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    result = run("scan", path, "--model", tiny_model_path, "--workers", 0)
    assert list(outcomes(result).values()) == ["truncated", "clear"]


@pytest.mark.parametrize("name", ["r.csv", "r.parquet", "parts"])
def test_report_reads_results_of_every_kind(
    tmp_path: Path, tiny_model_path: Path, name: str
) -> None:
    archive, out = ARCHIVES["a.zip"](tmp_path / "a.zip"), tmp_path / name
    run("scan", archive, "--model", tiny_model_path, "--workers", 0, "--out", out, "--quiet")
    result = run("report", out, "--model", tiny_model_path)
    assert result.exit_code == 0, result.output
    page = (tmp_path / name).with_suffix(".html").read_text(encoding="utf-8")
    assert "a/red.png" in page
    assert page.count("data:image/") >= 3  # its photos were found again, inside the archive
