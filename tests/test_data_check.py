"""`faunalens-data check`: every kind of fault is found, with its line; a sound set has none."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from faunalens.errors import UsageError
from faunalens_data.check import check_dataset
from faunalens_data.cli import main
from faunalens_data.manifest import Row, write_manifest

RESEARCH = Path(__file__).parents[1].parent / "shared" / "dataset"


def picture(path: Path, seed: int) -> str:
    """Draw noise, 12 x 9 pixels, and return the hash of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Three sound rows, on lines 2 to 4 of a manifest, their pictures in images/."""
    return [
        Row(
            file=f"{number}.jpg",
            sha256=picture(tmp_path / "images" / f"{number}.jpg", number),
            labels=("ivory",) if number < 2 else (),
            negative_kind=None if number < 2 else "goods",
            group=f"g{number}",
            source="shop",
            width=12,
            height=9,
        )
        for number in range(3)
    ]


def faults(path: Path) -> list[tuple[int | None, str, bool]]:
    return [(fault.line, fault.message, fault.is_warning) for fault in check_dataset(path).faults]


def test_sound_set(tmp_path: Path, rows: list[Row]) -> None:
    write_manifest(tmp_path / "manifest.csv", rows)
    result = check_dataset(tmp_path / "manifest.csv")
    assert (result.pictures, result.faults) == (3, ())
    answer = CliRunner().invoke(main, ["check", str(tmp_path)])
    assert (answer.exit_code, answer.stdout) == (0, "3 pictures, 0 faults, 0 warnings\n")


Spoil = Callable[[Path, list[Row]], list[Row]]


def _missing(folder: Path, rows: list[Row]) -> list[Row]:
    (folder / "images" / "1.jpg").unlink()
    return rows


def _damaged(folder: Path, rows: list[Row]) -> list[Row]:
    path = folder / "images" / "1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return [rows[0], replace(rows[1], sha256=sha256), rows[2]]


def _other_content(folder: Path, rows: list[Row]) -> list[Row]:
    picture(folder / "images" / "1.jpg", 99)
    return rows


def _one_more(folder: Path, rows: list[Row]) -> list[Row]:
    picture(folder / "images" / "more" / "x.jpg", 99)
    return rows


def _change(**values: object) -> Spoil:
    return lambda _, rows: [rows[0], replace(rows[1], **values), rows[2]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spoil, line, message, is_warning",
    [
        (_missing, 3, "picture missing: no such file; looked in ", False),
        (_damaged, 3, "picture truncated: ", False),
        (_other_content, 3, "hash mismatch: the manifest says ", False),
        (_change(width=13), 3, "size mismatch: the manifest says 13 x 9, it is 12 x 9", False),
        (_change(height=12), 3, "size mismatch: the manifest says 12 x 12, it is 12 x 9", False),
        (lambda _, rows: [*rows, rows[0]], 5, "duplicate file: already in line 2", False),
        (lambda _, rows: [*rows, rows[0]], 5, "duplicate sha256: already in line 2", False),
        (_change(group="g0", source="b"), 2, "group g0 spans 2 sources: b, shop", True),
        (_change(group="g2"), 4, "group g2 contradicts itself: goods here, ivory in line 3", True),
        (
            _change(group="g0", labels=("rhino",)),
            3,
            "group g0 contradicts itself: rhino here, ivory in line 2",
            True,
        ),
        (_one_more, None, "picture is not in the manifest", True),
    ],
)
def test_fault_of_pictures_and_groups(
    tmp_path: Path, rows: list[Row], spoil: Spoil, line: int | None, message: str, is_warning: bool
) -> None:
    write_manifest(tmp_path / "manifest.csv", spoil(tmp_path, rows))
    found = faults(tmp_path / "manifest.csv")
    assert [(at, warning) for at, text, warning in found if text.startswith(message)] == [
        (line, is_warning)
    ], found
    code = CliRunner().invoke(main, ["check", str(tmp_path)]).exit_code
    assert code == (0 if is_warning else 1)


@pytest.mark.parametrize(
    "before, after, line, message",
    [
        (",labels,", ",label,", 1, "missing column labels in the header"),
        ("\n1.jpg,", "\n,", 3, "file is empty"),
        (",goods,", ",good,", 4, "unknown negative_kind 'good'; did you mean 'goods'?"),
        (",goods,", ",,", 4, "labels and negative_kind are both empty"),
        ("ivory,,g1", "ivory,goods,g1", 3, "labels and negative_kind are both set"),
        ("ivory,,g1", "ivroy,,g1", 3, "unknown label 'ivroy'; did you mean 'ivory'?"),
        ("ivory,,g1", "ivory;ivory,,g1", 3, "labels 'ivory;ivory' name one label twice"),
        (",g1,shop", ",,shop", 3, "group is empty"),
        (",g1,shop", ",g1,", 3, "source is empty"),
        (",g1,shop", ",g1", 3, "the row has 13 cells, the header has 14"),
        (",12,9,\n2.jpg", ",x,9,\n2.jpg", 3, "width 'x' is not a whole number"),
    ],
)
def test_fault_of_the_table(
    tmp_path: Path, rows: list[Row], before: str, after: str, line: int, message: str
) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, rows)
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    assert (line, True) in [(at, message in text) for at, text, _ in faults(path)]
    answer = CliRunner().invoke(main, ["check", str(tmp_path)])
    assert answer.exit_code == 1
    assert message in answer.stdout and "Traceback" not in answer.output


def test_all_faults_are_listed_in_order(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, [rows[0], replace(rows[1], width=7), replace(rows[2], height=7)])
    path.write_text(path.read_text().replace("0.jpg", "/0.jpg").replace("ivory", "ivroy"))
    lines = [line for line, _, _ in faults(path)]
    # Both faults of line 2 and the unknown label of line 3; 0.jpg and 1.jpg are then not named.
    assert lines == [2, 2, 3, 4, None]
    answer = CliRunner().invoke(main, ["check", str(path)])
    assert answer.stdout.endswith("1 picture, 4 faults, 1 warning\n")


def test_crop_does_not_contradict_the_picture_it_is_cut_from(
    tmp_path: Path, rows: list[Row]
) -> None:
    write_manifest(
        tmp_path / "manifest.csv",
        [
            replace(rows[0], labels=("live_turtle",)),
            replace(rows[1], labels=("turtle_shell",), group="g0", photo_kind="crop"),
            rows[2],
        ],
    )
    assert faults(tmp_path / "manifest.csv") == []


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n", "found byte 0x89"),
        ("file,größe".encode("latin-1"), "found byte 0xf6"),
        (b"file,sha256,labels,negative_kind,group,source\n", "the manifest has no rows"),
    ],
)
def test_file_that_is_no_manifest(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "manifest.csv").write_bytes(data)
    if b"group" not in data:
        picture(tmp_path / "stray.jpg", 1)  # not reported: nobody knows what the table would name
    answer = CliRunner().invoke(main, ["check", str(tmp_path / "manifest.csv")])
    assert answer.exit_code == 1
    assert message in answer.stdout
    assert answer.stdout.endswith("0 pictures, 1 fault, 0 warnings\n")


def test_images_elsewhere(tmp_path: Path, rows: list[Row]) -> None:
    (tmp_path / "m").mkdir()
    write_manifest(tmp_path / "m" / "manifest.csv", rows)
    assert check_dataset(tmp_path / "m").errors == 3
    assert check_dataset(tmp_path / "m", images=tmp_path / "images").faults == ()
    with pytest.raises(UsageError, match="is not a folder"):
        check_dataset(tmp_path / "m", images=tmp_path / "nowhere")


def test_folder_of_folders(tmp_path: Path) -> None:
    for name in ("ivory/1.jpg", "negative_goods/2.jpg", "ivroy/3.jpg", "4.jpg"):
        picture(tmp_path / name, len(name))
    picture(tmp_path / "rhino" / "copy.jpg", len("ivory/1.jpg"))
    (tmp_path / "rhino" / "5.jpg").write_bytes(b"no photo")
    result = check_dataset(tmp_path)
    assert result.pictures == 3
    found = {(fault.file, fault.message.split(";")[0].split(":")[0]) for fault in result.faults}
    assert found == {
        ("ivroy", "folder name 'ivroy' is neither a label nor negative_<kind>"),
        ("4.jpg", "photo outside a label folder"),
        ("rhino/5.jpg", "picture not_an_image"),
        ("rhino/copy.jpg", "duplicate sha256"),
        ("rhino/copy.jpg", "group " + _group(tmp_path / "ivory/1.jpg") + " contradicts itself"),
    }
    assert CliRunner().invoke(main, ["check", str(tmp_path)]).exit_code == 1


def _group(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_terminal_never_obeys_a_file_name(tmp_path: Path, rows: list[Row]) -> None:
    write_manifest(tmp_path / "m.csv", [replace(rows[0], file="\x1b[2Jx.jpg"), *rows[1:]])
    answer = CliRunner().invoke(main, ["check", str(tmp_path / "m.csv")])
    assert answer.exit_code == 1
    assert "?[2Jx.jpg" in answer.stdout and "\x1b" not in answer.stdout


@pytest.mark.research
def test_research_set_is_sound() -> None:
    if not (RESEARCH / "manifest.csv").is_file():
        pytest.skip(f"the research pictures are not at {RESEARCH}")
    result = check_dataset(RESEARCH)
    assert result.pictures > 5_000
    assert [fault for fault in result.faults if not fault.is_warning] == []
