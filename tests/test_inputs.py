"""Archives, tables of adverts and standard input, good and hostile."""

import csv
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import plain
from test_scan import rows, run

from faunalens import inputs_archive
from faunalens.errors import PhotoError
from faunalens.inputs_archive import photos_in, reread
from faunalens.inputs_item import Item


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


def outcomes(result: Any) -> dict[str, str]:
    return {row["source"]: row["verdict"] or row["failure"]["kind"] for row in rows(result)}


ARCHIVES: dict[str, Callable[[Path], Path]] = {
    "a.tar": lambda path: tar(path, MEMBERS),
    "a.tar.gz": lambda path: tar(path, MEMBERS, "w:gz"),
    "a.tgz": lambda path: tar(path, MEMBERS, "w:gz"),
    "a.tar.bz2": lambda path: tar(path, MEMBERS, "w:bz2"),
    "a.tar.xz": lambda path: tar(path, MEMBERS, "w:xz"),
    "a.zip": lambda path: zipped(path, MEMBERS),
}


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


@pytest.fixture
def adverts(tmp_path: Path) -> list[dict[str, Any]]:
    """Rows of a table, and the photos beside it."""
    (tmp_path / "img").mkdir()
    for number in range(6):
        (tmp_path / "img" / f"{number}.png").write_bytes(RED if number % 3 == 1 else GREY)
    return [
        {"ad": f"ad{number // 2}", "title": f"Ivory, nr {number}", "image": f"img/{number}.png"}
        for number in range(6)
    ]


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


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_table_of_adverts_joins_back(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path, name: str, kind: str
) -> None:
    from faunalens.output import read_results

    table = write_table(tmp_path / name, adverts)
    out, ads = tmp_path / f"r.{kind}", tmp_path / f"ads.{kind}"
    result = run(
        "scan", table, "--ad-column", "ad", "--out", out, "--by-ad", ads,
        "--model", tiny_model_path, "--workers", 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    records = list(read_results(out))
    assert [record.ad for record in records] == [row["ad"] for row in adverts]
    assert [record.columns for record in records] == [{"title": row["title"]} for row in adverts]
    verdicts = [str(record.verdict) for record in records]
    assert verdicts == ["clear", "alert", "clear", "clear", "alert", "clear"]
    assert "3 adverts" in result.stderr
    if kind == "jsonl":
        rolled = [json.loads(line) for line in ads.read_text().splitlines()]
        assert [(r["ad"], r["verdict"], r["photos"], r["alert"]) for r in rolled] == [
            ("ad0", "alert", 2, 1), ("ad1", "clear", 2, 0), ("ad2", "alert", 2, 1),
        ]  # fmt: skip
        assert rolled[0]["source"].endswith("img/1.png")
        assert [r["shared"] for r in rolled] == [2, 1, 2]


def test_rows_that_cannot_be_read_name_their_line(tmp_path: Path, tiny_model_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(RED)
    table = tmp_path / "t.csv"
    table.write_bytes(
        b'ad,image\n1,a.png\n2\n3,a.png,x\n4,\n"5\nb",a.png\n\n\xff6,a.png\n7,none.png\n'
    )
    options = ("--model", tiny_model_path, "--workers", 0)
    result = run("scan", table, "--ad-column", "ad", *options)
    found = [(row["ad"], row["verdict"] or row["failure"]["message"]) for row in rows(result)]
    assert found == [
        ("1", "alert"),
        (None, "line 3 of the table: 1 cells for 2 columns"),
        (None, "line 4 of the table: 3 cells for 2 columns"),
        ("4", "line 5 of the table names no photo"),
        ("5\nb", "alert"),
        ("\udcff6", "alert"),
        ("7", "no such file"),
    ]
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"image": ["a.png", "a.png"]}\nnot JSON\n[1]\n{"image": 5}\n')
    found = [
        (row["source"].rpartition("/")[2], row["verdict"] or row["failure"]["kind"])
        for row in rows(run("scan", lines, *options))
    ]
    assert found == [
        ("a.png", "alert"), ("a.png", "alert"), ("t.jsonl, line 2", "unsupported"),
        ("t.jsonl, line 3", "unsupported"), ("t.jsonl, line 4", "missing"),
    ]  # fmt: skip


def test_photos_inside_a_parquet_table(tmp_path: Path, tiny_model_path: Path) -> None:
    table = write_table(
        tmp_path / "t.parquet",
        [{"id": 1, "image": {"bytes": RED, "path": "x.png"}, "thumb": GREY},
         {"id": 2, "image": {"bytes": GREY, "path": None}, "thumb": GREY}],
    )  # fmt: skip
    result = rows(
        run("scan", table, "--ad-column", "id", "--model", tiny_model_path, "--workers", 0)
    )
    assert [(row["ad"], row["verdict"], row["source"].rpartition("/")[2]) for row in result] == [
        ("1", "alert", "x.png"), ("2", "clear", "t.parquet, row 2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["t.csv", "--image-column", "img"], 2, "no column 'img'; it has ad, title, image"),
        (["t.csv", "--ad-column", "id"], 2, "no column 'id'; it has ad, title, image"),
        (["odd.csv"], 2, "which column of odd.csv holds the photos? Name it with --image-column"),
        (["t.csv", "--by-ad", "a.csv"], 2, "--by-ad needs --out and --ad-column"),
        (["img", "--by-ad", "a.csv", "--ad-column", "ad", "--out", "r.jsonl"], 1, "no photo belon"),
        (["torn.parquet"], 1, "cannot read torn.parquet"),
        (["t.csv", "--by-ad", "a.doc", "--ad-column", "ad", "--out", "x"], 2, "cannot tell the fo"),
    ],
)
def test_one_line_says_what_is_wrong(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path,
    monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv", adverts)
    Path("odd.csv").write_text("a,b\n1,2\n")
    Path("torn.parquet").write_bytes(b"PAR1 and nothing else")
    result = run("scan", *words, "--model", tiny_model_path, "--workers", 0)
    assert (result.exit_code, "Traceback" in result.output) == (code, False), result.output
    assert message in result.stderr


@pytest.mark.parametrize("name", ["t.csv", "a.tar.gz", "a.zip"])
def test_resume_within_tables_and_archives(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path, name: str
) -> None:
    from faunalens.output_formats import read_file

    path = (
        write_table(tmp_path / name, adverts)
        if name == "t.csv"
        else ARCHIVES[name](tmp_path / name)
    )
    options = ["--model", tiny_model_path, "--workers", 0, "--quiet"]
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    run("scan", path, *options, "--out", whole)
    run("scan", path, *options, "--out", torn)
    lines = torn.read_bytes().splitlines(keepends=True)
    (tmp_path / "torn.jsonl.part").write_bytes(b"".join(lines[:2]) + lines[2][:50])
    (tmp_path / "torn.jsonl.manifest.json").rename(tmp_path / "torn.jsonl.part.json")
    torn.unlink()
    run("scan", path, *options, "--out", torn, "--resume")
    assert list(read_file(torn)) == list(read_file(whole))


def test_dedupe_judges_identical_files_once(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path
) -> None:
    table = write_table(tmp_path / "t.csv", adverts * 2)
    options = ("--model", tiny_model_path, "--ad-column", "ad")
    each = rows(run("scan", table, *options, "--workers", 0))
    for workers in (0, 2):
        once = rows(run("scan", table, *options, "--workers", workers, "--dedupe"))
        firsts = [row.pop("duplicate_of", None) for row in once]
        assert once == each
        assert [first and first[-5:] for first in firsts[:6]] == [
            None, None, "0.png", "0.png", "1.png", "0.png",
        ]  # fmt: skip
        assert firsts.count(None) == 2


def test_paths_on_standard_input(tmp_path: Path, tiny_model_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    names = ["b.png", "a ü.png", "sub/c.png", "odd\udcff.png"]
    for name in names:
        (tmp_path / name).write_bytes(RED)
    listed = "\n".join(["b.png", "", "a ü.png\r", "sub", "none.png", "odd\udcff.png"])
    done = subprocess.run(
        [sys.executable, "-m", "faunalens", "scan", "-", "--model", tiny_model_path,
         "--workers", "0", "--quiet"],
        cwd=tmp_path, input=listed.encode("utf-8", "surrogateescape"), capture_output=True,
        check=False,
    )  # fmt: skip
    sources = [json.loads(line)["source"] for line in done.stdout.splitlines()]
    assert sources == ["b.png", "a ü.png", "sub/c.png", "none.png", "odd\udcff.png"], done.stderr


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
