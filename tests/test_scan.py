"""`faunalens scan` as a user meets it."""

import csv
import io
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import noise, plain
from PIL import Image
from test_decode import png_header

from faunalens.batch import scan
from faunalens.cli import main
from faunalens.inputs import find_photos
from faunalens.record import read_records


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as scrapers leave them: good photos, and one of everything that goes wrong."""
    root = tmp_path / "adverts"
    (root / "sub folder").mkdir(parents=True)
    plain((255, 0, 0)).save(root / "a red.png")
    plain((0, 255, 0)).save(root / "sub folder" / "grün 象牙.jpg", quality=95)
    plain((128, 128, 128)).save(root / "c.webp")
    plain((255, 0, 0)).save(root / "d0123456789abcdef", "JPEG", quality=95)  # no suffix
    (root / "notes.txt").write_text("not a photo by name")
    (root / "README").write_text("no suffix, and no photo")
    (root / "text.jpg").write_text("a text")
    (root / "empty.jpg").write_bytes(b"")
    (root / "bomb.png").write_bytes(png_header(20_000, 20_000))
    (root / "photo.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + b"\0" * 64)
    buffer = io.BytesIO()
    Image.fromarray(noise(300, 200)).save(buffer, "JPEG")
    (root / "cut.jpg").write_bytes(buffer.getvalue()[:9000])
    Image.new("CMYK", (60, 40), (0, 255, 255, 0)).save(root / "print.jpg", quality=95)
    Image.fromarray(np.full((40, 60), 200 << 8, np.uint16)).save(root / "sixteen.png")
    plain((255, 0, 0)).save(
        root / "moving.gif", save_all=True, append_images=[plain((0, 0, 255))], duration=40
    )
    (root / "broken.jpg").symlink_to(root / "nowhere.jpg")
    return root


EXPECTED = {  # in the order of a scan
    "a red.png": "alert",
    "bomb.png": "too_large",
    "broken.jpg": "missing",
    "c.webp": "clear",
    "cut.jpg": "truncated",
    "d0123456789abcdef": "alert",
    "empty.jpg": "not_an_image",
    "moving.gif": "alert",
    "photo.heic": "unsupported",
    "print.jpg": "alert",
    "sixteen.png": "clear",
    "sub folder/grün 象牙.jpg": "alert",
    "text.jpg": "not_an_image",
}


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_file_has_its_record_in_order(
    folder: Path, tiny_model_path: Path, workers: int
) -> None:
    result = run("scan", folder, "--model", tiny_model_path, "--workers", workers)
    found = {
        str(Path(row["source"]).relative_to(folder)): row["verdict"] or row["failure"]["kind"]
        for row in rows(result)
    }
    assert list(found.items()) == list(EXPECTED.items())
    assert result.exit_code == 3
    assert "13 photos" in result.stderr
    assert "5 alert, 0 review, 2 clear, 6 failed" in result.stderr
    assert "Traceback" not in result.output


def test_results_file_and_csv_say_the_same(
    folder: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    options = ("--model", tiny_model_path, "--workers", 0, "--quiet")
    lines, table = tmp_path / "r.jsonl", tmp_path / "r.csv"
    assert run("scan", folder, *options, "--out", lines).exit_code == 3
    assert run("scan", folder, *options, "--out", table).exit_code == 3
    records = list(read_records(lines))
    with table.open(encoding="utf-8", newline="") as handle:
        flat = list(csv.DictReader(handle))
    assert len(records) == len(flat) == len(EXPECTED)
    for record, row in zip(records, flat, strict=True):
        assert row["source"] == record.source
        assert row["verdict"] == (record.verdict or "")
        assert row["failure.kind"] == (record.failure.kind if record.failure else "")
        if record.probabilities:
            assert float(row["p.ivory"]) == record.probabilities["ivory"]
    assert not list(tmp_path.glob("*.part"))


def test_an_existing_file_is_not_replaced(tiny_model_path: Path, tmp_path: Path) -> None:
    photo, out = tmp_path / "a.png", tmp_path / "r.jsonl"
    plain((255, 0, 0)).save(photo)
    out.write_text("precious")
    result = run("scan", photo, "--model", tiny_model_path, "--out", out)
    assert (result.exit_code, out.read_text()) == (1, "precious")
    assert "exists" in result.stderr
    assert (
        run("scan", photo, "--model", tiny_model_path, "--out", out, "--overwrite").exit_code == 0
    )
    assert "alert" in out.read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{empty}"], 1, "no photos in"),
        (["{texts}"], 1, "no photos in"),
        ([], 2, "Missing argument"),
        (["{photo}", "--labels", "ivroy"], 2, "unknown label or family 'ivroy'"),
        (["{photo}", "--workers", "-1"], 2, "workers"),
        (["{photo}", "--format", "xlsx"], 2, "xlsx"),
        (["{photo}", "--out", "{empty}/r.xlsx"], 2, "cannot tell the format"),
        (["{photo}", "--out", "{empty}/none/r.jsonl"], 1, "cannot write"),
        (["{photo}", "--thresholds", "{photo}"], 1, "cannot read thresholds"),
        (["{photo}", "--thresholds", "none.toml"], 2, "does not exist"),
    ],
)
def test_one_line_says_what_is_wrong(
    tmp_path: Path, tiny_model_path: Path, words: list[str], code: int, message: str
) -> None:
    names = {name: tmp_path / name for name in ("empty", "texts", "photo")}
    names["empty"].mkdir()
    names["texts"].mkdir()
    (names["texts"] / "notes.txt").write_text("x")
    plain((255, 0, 0)).save(names["photo"], "PNG")
    result = run("scan", *(word.format(**names) for word in words), "--model", tiny_model_path)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    if code == 1:
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_missing_path_and_an_empty_glob_have_records(
    tmp_path: Path, tiny_model_path: Path
) -> None:
    plain((255, 0, 0)).save(tmp_path / "a.png")
    result = run(
        "scan", tmp_path / "none.jpg", tmp_path / "*.tif", tmp_path / "a.png",
        "--model", tiny_model_path, "--workers", 0,
    )  # fmt: skip
    kinds = [row["failure"] and row["failure"]["kind"] for row in rows(result)]
    assert kinds == ["missing", "missing", None]
    assert result.exit_code == 3


def test_labels_and_thresholds_decide(tmp_path: Path, tiny_model_path: Path) -> None:
    plain((255, 0, 0)).save(tmp_path / "a.png")
    options = ("--model", tiny_model_path, "--workers", 0)
    only = rows(run("scan", tmp_path, *options, "--labels", "live_reptile, parrot"))[0]
    assert only["verdict"] == "clear"
    thresholds = tmp_path / "t.toml"
    thresholds.write_text("[ivory]\nalert = 1\n")
    strict = rows(run("scan", tmp_path, *options, "--thresholds", thresholds))[0]
    assert (strict["verdict"], strict["rule"]) == ("review", "ivory >= review 0.5")


def test_globs_are_expanded(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "x/c.png", "x/y/d.png", "[odd].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        plain((0, 0, 0)).save(tmp_path / name)

    def names(pattern: str) -> list[str]:
        return [os.path.relpath(p, tmp_path) for p in find_photos([str(tmp_path / pattern)])]

    assert names("?.png") == ["a.png", "b.png"]
    assert names("**/[cd].png") == ["x/c.png", "x/y/d.png"]
    assert names("x*") == ["x/c.png", "x/y/d.png"]
    assert names("[odd].png") == ["[odd].png"]
    assert sorted(names("**")) == ["[odd].png", "a.png", "b.png", "x/c.png", "x/y/d.png"]


def test_a_link_to_a_folder_is_no_circle(tmp_path: Path) -> None:
    plain((0, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(list(find_photos([str(tmp_path)]))) == 1


def test_a_link_that_leads_to_itself_costs_its_own_record(
    tmp_path: Path, tiny_model_path: Path
) -> None:
    for name in ("b.jpg", "c.zip", "no suffix"):
        (tmp_path / name).symlink_to(name)
    plain((255, 0, 0)).save(tmp_path / "d.png")
    result = run("scan", tmp_path, "--model", tiny_model_path, "--workers", 0)
    assert [(Path(row["source"]).name, row["status"]) for row in rows(result)] == [
        ("b.jpg", "failed"), ("c.zip", "failed"), ("d.png", "ok"),
    ]  # fmt: skip
    assert "symbolic links" in rows(result)[0]["failure"]["message"]


def test_a_fifo_is_not_waited_for(tmp_path: Path, tiny_model_path: Path) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    result = run("scan", path, "--model", tiny_model_path, "--workers", 0)
    assert rows(result)[0]["failure"]["kind"] == "unsupported"


def test_paths_are_taken_only_a_little_ahead(tmp_path: Path, tiny_model_path: Path) -> None:
    photo = tmp_path / "a.png"
    plain((255, 0, 0)).save(photo)
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield str(photo)

    records = scan(endless(), model_path=tiny_model_path, workers=0)
    for _ in range(20):
        next(records)
    assert taken <= 40
    records.close()  # type: ignore[attr-defined]


def test_csv_runs_no_formula(tmp_path: Path, tiny_model_path: Path) -> None:
    name = tmp_path / "=cmd.png"
    plain((255, 0, 0)).save(name)
    result = subprocess.run(
        [sys.executable, "-m", "faunalens", "scan", "=cmd.png", "--format", "csv",
         "--model", tiny_model_path, "--workers", "0", "--quiet"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.splitlines()[1].startswith("1,'=cmd.png,")
