"""Manifests as rows: what is read is what was written, and every fault is named."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faunalens.labels import load_labels
from faunalens_data.manifest import (
    COLUMNS,
    NEEDED_COLUMNS,
    RESERVED_LABELS,
    ManifestError,
    Row,
    fingerprint,
    known_labels,
    read_manifest,
    scan_manifest,
    write_manifest,
)

HASH = "0123456789abcdef" * 4
ROW = Row(
    file="a/b.jpg",
    sha256=HASH,
    labels=("live_turtle", "turtle_shell"),
    negative_kind=None,
    group="g1",
    source="shop",
    licence='CC BY 4.0, "as stated"',
    photo_kind="listing",
    width=640,
    height=480,
    note="Schildkröte, 20 €\nzwei Zeilen",
)
NEGATIVE = replace(ROW, file="n.jpg", sha256="f" * 64, labels=(), negative_kind="goods", note="")
HEADER = ",".join(NEEDED_COLUMNS)
GOOD = f"a.jpg,{HASH},ivory,,g1,shop"


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")


def manifest(folder: Path, *lines: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", [ROW, NEGATIVE])
    assert read_manifest(tmp_path / "m.csv") == [ROW, NEGATIVE]
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


def test_columns_are_the_fields_in_order() -> None:
    assert ",".join(COLUMNS) == (
        "file,sha256,labels,negative_kind,group,source,source_path,commit,licence,rights,"
        "photo_kind,width,height,note"
    )


@pytest.mark.parametrize(
    "data",
    [
        f"{HEADER}\n{GOOD}\n".encode("utf-8-sig"),
        f"{HEADER}\r\n\r\n{GOOD}\r\n".encode(),
        f"{HEADER},colour\n{GOOD},red\n".encode(),
        f"{HEADER}\na.jpg, {HASH} , ivory ,,g1, shop\n".encode(),
    ],
    ids=["byte order mark", "blank line", "extra column", "spaces"],
)
def test_manifest_from_other_programs_is_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(data)
    (row,) = read_manifest(tmp_path / "m.csv")
    assert (row.file, row.labels, row.source, row.rights, row.width) == (
        "a.jpg",
        ("ivory",),
        "shop",
        "unstated",
        None,
    )


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, line, message",
    [
        (b"", 1, "the file is empty, expected a header line"),
        (f"{HEADER}\n".encode(), None, "no rows"),
        (_png(), 1, "expected a CSV file in UTF-8, found byte 0x89"),
        (f"{HEADER}\n{GOOD}\nk\xe4fig.jpg".encode("latin-1"), 3, "found byte 0xe4; save it as"),
        (b"file,sha256,labels\n", 1, "missing column negative_kind, group, source"),
        (HEADER.replace(",", ";").encode(), 1, "separated by ';' here, expected ','"),
        (f"{HEADER},file\n{GOOD},x\n".encode(), 1, "column file is there twice"),
        (f"{HEADER}\n{GOOD}\n{GOOD},more\n".encode(), 3, "the row has 7 cells, the header has 6"),
        (f"{HEADER},width\n{GOOD},4.5\n".encode(), 2, "width '4.5' is not a whole number"),
        (f'{HEADER}\n"{"x" * 200_000}",'.encode(), 2, "field larger than field limit"),
    ],
)
def test_file_that_is_no_manifest(
    tmp_path: Path, data: bytes, line: int | None, message: str
) -> None:
    (tmp_path / "m.csv").write_bytes(data)
    with pytest.raises(ManifestError, match=r"m\.csv") as caught:
        read_manifest(tmp_path / "m.csv")
    assert message in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "change, message",
    [
        ({"file": ""}, "file is empty"),
        ({"file": "/etc/a.jpg"}, "must be a path below the images folder"),
        ({"file": "a/../../b.jpg"}, "must be a path below the images folder"),
        ({"file": "a\\b.jpg"}, "must be a path below the images folder"),
        ({"sha256": HASH.upper()}, "must be 64 lower-case hex digits"),
        ({"sha256": "abc"}, "must be 64 lower-case hex digits"),
        ({"labels": ("ivroy",)}, "unknown label 'ivroy'; did you mean 'ivory'?"),
        ({"labels": ("ivory", "ivory")}, "name one label twice"),
        ({"labels": (), "negative_kind": "good"}, "'good'; did you mean 'goods'?"),
        ({"negative_kind": "goods"}, "labels and negative_kind are both set"),
        ({"labels": ()}, "labels and negative_kind are both empty"),
        ({"group": ""}, "group is empty"),
        ({"source": ""}, "source is empty"),
        ({"width": 0}, "width is 0"),
    ],
)
def test_row_refuses_a_wrong_value(change: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        replace(ROW, **change)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_row_names_all_its_problems(tmp_path: Path) -> None:
    path = manifest(tmp_path, HEADER + ",width", GOOD + ",8", ",nonsense,ivroy,,,shop,wide")
    rows = dict(scan_manifest(path))
    assert isinstance(rows[2], Row)
    assert isinstance(rows[3], ManifestError)
    assert len(rows[3].problems) == 5


def test_line_is_where_the_row_begins(tmp_path: Path) -> None:
    note = '"one\ntwo\nthree"'
    path = manifest(tmp_path, f"{HEADER},note", f"{GOOD},{note}", GOOD.replace("ivory", "x") + ",")
    with pytest.raises(ManifestError, match="line 5: unknown label 'x'"):
        read_manifest(path)


@pytest.mark.parametrize("labels", [(label,) for label in RESERVED_LABELS])
def test_reserved_label_is_neither_output_nor_negative(labels: tuple[str, ...]) -> None:
    assert labels[0] not in load_labels().ids
    assert not replace(ROW, labels=labels).is_negative


def test_negative_and_strata() -> None:
    assert NEGATIVE.is_negative and not ROW.is_negative
    assert NEGATIVE.strata == ("goods",)
    assert ROW.strata == ("live_turtle", "turtle_shell")
    assert known_labels()[: len(load_labels().ids)] == load_labels().ids


def test_fingerprint_is_of_what_training_sees() -> None:
    before = fingerprint([ROW, NEGATIVE])
    assert fingerprint([NEGATIVE, ROW]) == before
    assert fingerprint([replace(ROW, file="c.jpg", note="", source="x"), NEGATIVE]) == before
    for changed in (
        replace(ROW, group="g2"),
        replace(ROW, labels=("live_turtle",)),
        replace(ROW, sha256="e" * 64),
    ):
        assert fingerprint([changed, NEGATIVE]) != before
    assert fingerprint([ROW, replace(NEGATIVE, negative_kind="scene")]) != before
    assert fingerprint([ROW]) != before


def test_fingerprint_is_stable() -> None:
    # Model files carry it: another way of computing it would orphan them.
    assert fingerprint([ROW]) == (
        "7827c63f63aa56d4249c14d29aa5e16df90802352850bc29d1bd1202f13800dc"
    )
