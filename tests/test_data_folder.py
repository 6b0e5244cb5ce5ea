"""Folders of folders, where images lie, and overrides: what becomes rows beside a manifest."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_data_manifest import GOOD, HASH, HEADER, NEGATIVE, ROW, manifest, photo

from faunalens.errors import FaunalensError, UsageError
from faunalens_data.manifest import (
    NEGATIVE_KINDS,
    ManifestError,
    apply_overrides,
    from_folder,
    load_rows,
    write_manifest,
)
from faunalens_data.overrides import SHIPPED_OVERRIDES, read_overrides


def test_folder_of_folders(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    photo(root / "ivory" / "1.jpg", 1)
    photo(root / "ivory" / "shop a" / "2.JPG", 2)
    photo(root / "turtle_shell+live_turtle" / "3.jpg", 3)
    photo(root / "negative" / "4.jpg", 4)
    photo(root / "negative_like_ivory" / "5.jpg", 5)
    photo(root / "coral" / "6.jpg", 6)
    photo(root / "coral" / "copy of 6.jpg", 6)
    photo(root / ".cache" / "7.jpg", 7)
    (root / "readme.txt").write_text("not a photo")
    (root / "ivory" / "notes.txt").write_text("not a photo")
    rows = {row.file: row for row in from_folder(root)}
    assert {file: (row.labels, row.negative_kind, row.source) for file, row in rows.items()} == {
        "ivory/1.jpg": (("ivory",), None, "photos"),
        "ivory/shop a/2.JPG": (("ivory",), None, "shop a"),
        "turtle_shell+live_turtle/3.jpg": (("turtle_shell", "live_turtle"), None, "photos"),
        "negative/4.jpg": ((), "other", "photos"),
        "negative_like_ivory/5.jpg": ((), "like_ivory", "photos"),
        "coral/6.jpg": (("coral",), None, "photos"),
        "coral/copy of 6.jpg": (("coral",), None, "photos"),
    }
    assert rows["coral/6.jpg"].group == rows["coral/copy of 6.jpg"].group
    assert len({row.group for row in rows.values()}) == 6
    assert {(row.width, row.height) for row in rows.values()} == {(12, 9)}


@pytest.mark.parametrize(
    "name, message",
    [
        ("ivroy/1.jpg", "folder name 'ivroy' is neither a label nor .*did you mean 'ivory'"),
        ("negative_good/1.jpg", "did you mean 'negative_goods'"),
        ("goods/1.jpg", "did you mean 'negative_goods'"),
        ("ivory+snake/1.jpg", "did you mean 'live_snake'"),
        ("zzz/1.jpg", "labels are ivory, "),
        ("1.jpg", "photo outside a label folder"),
    ],
)
def test_folder_name_that_means_nothing(tmp_path: Path, name: str, message: str) -> None:
    photo(tmp_path / name, 1)
    with pytest.raises(ManifestError, match=message):
        from_folder(tmp_path)


def test_folder_with_a_damaged_photo_or_none(tmp_path: Path) -> None:
    (tmp_path / "ivory").mkdir()
    with pytest.raises(ManifestError, match="no photo found"):
        from_folder(tmp_path)
    (tmp_path / "ivory" / "1.jpg").write_bytes(b"no photo")
    with pytest.raises(ManifestError, match=r"1\.jpg: picture not_an_image"):
        from_folder(tmp_path)


def test_load_rows_finds_the_images(tmp_path: Path) -> None:
    path = manifest(tmp_path, HEADER, GOOD)
    assert load_rows(path).images == tmp_path
    assert load_rows(path, images=tmp_path / "else").images == tmp_path / "else"
    (tmp_path / "images").mkdir()
    assert load_rows(path).images == tmp_path / "images"
    assert load_rows(tmp_path) == load_rows(path)  # a folder with a manifest in it
    photo(tmp_path / "folders" / "ivory" / "1.jpg", 1)
    rows, images = load_rows(tmp_path / "folders")
    assert (images / rows[0].file).is_file()


@pytest.mark.parametrize("name", ["nothing.csv", "nothing/"])
def test_load_rows_of_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="does not exist; expected a manifest"):
        load_rows(tmp_path / name)


def test_overrides_drop_and_relabel(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "sha256,action,labels,negative_kind,reason",
        f"{HASH},relabel,live_turtle,,no bare shell",
        f"{'f' * 64},drop,,,blurred",
        f"{'d' * 64},drop,,,not in this set",
    )
    assert apply_overrides([ROW, NEGATIVE], path) == [replace(ROW, labels=("live_turtle",))]


@pytest.mark.parametrize(
    "line, message",
    [
        ("abc,drop,,,", "line 2: sha256 'abc' must be"),
        (f"{HASH},delete,,,", "line 2: action 'delete' must be drop or relabel"),
        (f"{HASH},relabel,,,", "line 2: labels and negative_kind are both empty"),
        (f"{HASH},relabel,ivroy,,", "line 2: unknown label 'ivroy'; did you mean 'ivory'?"),
        (f"{HASH},drop,ivory,,", "line 2: a dropped picture needs no labels"),
        (f"{HASH},drop,,,\n{HASH},drop,,,", "line 3: sha256 .* is there twice"),
        (f"{HASH},drop", "line 2: the row has 2 cells"),
    ],
)
def test_faulty_overrides(tmp_path: Path, line: str, message: str) -> None:
    path = manifest(tmp_path, "sha256,action,labels,negative_kind,reason", line)
    with pytest.raises(ManifestError, match=message):
        apply_overrides([ROW], path)


def test_shipped_overrides_are_valid() -> None:
    read_overrides(SHIPPED_OVERRIDES)


def test_manifest_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FaunalensError, match=r"cannot write .*: No such file"):
        write_manifest(tmp_path / "no" / "m.csv", [ROW])


def test_kinds_are_those_of_folders(tmp_path: Path) -> None:
    for number, kind in enumerate(NEGATIVE_KINDS):
        photo(tmp_path / f"negative_{kind}" / "1.jpg", number)
    assert {row.negative_kind for row in from_folder(tmp_path)} == set(NEGATIVE_KINDS)
