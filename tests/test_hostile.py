"""Hostile photo files: every one a photo or a PhotoError, in bounded time and memory."""

import io
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hostile import built, fuzz, outcome, valid
from test_scan import rows, run


@pytest.mark.parametrize("name", valid())
def test_the_valid_ones_are_photos(name: str) -> None:
    assert outcome(valid()[name]) == "photo"


@pytest.mark.parametrize(("name", "data"), [pytest.param(*case, id=case[0]) for case in built()])
def test_built_files_have_an_outcome(name: str, data: bytes) -> None:
    started = time.process_time()
    found = outcome(data)
    assert found not in ("internal", "timeout")
    if not name.startswith(
        ("jpeg", "zip", "png with", "png of 2", "gif of", "bmp", "tiff", "avif of damaged")
    ):
        assert found != "photo"
    assert time.process_time() - started < 20


def test_built_files_each_have_a_record(tmp_path: Path, tiny_model_path: Path) -> None:
    path = tmp_path / "hostile.tar"
    names = []
    with tarfile.open(path, "w") as archive:
        for number, (_, data) in enumerate(built()):
            names.append(f"{path}::{number:03}.jpg")
            info = tarfile.TarInfo(f"{number:03}.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    result = run("scan", path, "--model", tiny_model_path, "--workers", 1)
    assert [row["source"] for row in rows(result)] == names
    kinds = {row["failure"]["kind"] for row in rows(result) if row["failure"]}
    assert not kinds & {"internal", "timeout"}
    assert "Traceback" not in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="the long run forks")
@pytest.mark.parametrize("number", range(2))
def test_drawn_files_have_an_outcome(number: int) -> None:
    assert fuzz(number).total() >= 200


@pytest.mark.slow
def test_many_drawn_files_have_an_outcome() -> None:
    assert sum(fuzz(number).total() for number in range(100, 150)) >= 10_000
