"""Runs that are stopped and go on; results that are never mixed, torn or doubled."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, plain
from test_scan import run

from faunalens.errors import FileError
from faunalens.output_formats import read_file
from faunalens.output_manifest import Manifest
from faunalens.record import Record, decode_embedding


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        plain((255, 0, 0) if number % 2 else (9, 9, 9)).save(folder / f"{number:02}.png")
    (folder / "04.png").write_bytes(b"no photo")
    return folder


def options(model: Path, out: Path) -> list[object]:
    return ["--model", model, "--workers", 0, "--quiet", "--out", out, "--part-rows", 4]


def results(out: Path) -> list[Record]:
    paths = sorted(out.glob("part-*")) if out.is_dir() else [out]
    return [record for path in paths for record in read_file(path)]


def names(out: Path) -> list[str]:
    return [Path(record.source).name for record in results(out)]


@pytest.mark.parametrize(
    "mode",
    [
        ["each", "--photos", "6", "--targets", "r.csv", "parts-parquet"],
        ["random", "--kills", "4", "--targets", "r.jsonl", "parts-jsonl"],
        pytest.param(["each", "--photos", "14"], marks=pytest.mark.slow),
        pytest.param(["random", "--kills", "100"], marks=pytest.mark.slow),
        pytest.param(["random", "--workers", "2", "--kills", "20"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the killer forks")
def test_killed_anywhere_and_resumed_equals_undisturbed(mode: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "kill_anywhere.py", *mode],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal" in done.stdout


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.parquet", "parts"])
def test_resume_adds_new_photos_and_keeps_rows_of_vanished_ones(
    photos: Path, tmp_path: Path, tiny_model_path: Path, name: str
) -> None:
    out = tmp_path / name
    assert run("scan", photos, *options(tiny_model_path, out), "--resume").exit_code == 3
    before = results(out)
    (photos / "03.png").rename(photos / "11.png")
    plain((255, 0, 0)).save(photos / "00a.png")
    assert run("scan", photos, *options(tiny_model_path, out), "--resume").exit_code == 3
    assert results(out)[:10] == before
    assert names(out)[10:] == ["00a.png", "11.png"]
    assert run("scan", photos, *options(tiny_model_path, out), "--resume").exit_code == 3
    assert len(results(out)) == 12
    if name == "parts":
        assert [len(list(read_file(path))) for path in sorted(out.glob("part-*"))] == [4, 4, 2, 2]


def test_the_three_formats_say_the_same(
    photos: Path, tmp_path: Path, tiny_model_path: Path
) -> None:
    made = {}
    for name in ("r.jsonl", "r.csv", "r.parquet"):
        out = tmp_path / name
        run("scan", photos, *options(tiny_model_path, out), "--embeddings")
        made[name] = results(out)
    assert made["r.jsonl"] == made["r.csv"] == made["r.parquet"]
    good = [record for record in made["r.csv"] if record.embedding]
    assert len(good) == 9
    assert good[1].embedding is not None
    # The tiny model's embedding is the direction of the mean colour.
    assert decode_embedding(good[1].embedding).tolist() == [1, 0, 0]


def test_parquet_is_read_by_duckdb_polars_and_pandas(
    photos: Path, tmp_path: Path, tiny_model_path: Path
) -> None:
    pandas, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "parts"
    run("scan", photos, *options(tiny_model_path, out), "--format", "parquet", "--embeddings")
    frame = pandas.read_parquet(out)
    assert list(frame["verdict"].fillna("failed")) == [
        "failed" if n == 4 else "alert" if n % 2 else "clear" for n in range(10)
    ]
    about = json.loads(parquet.read_schema(out / "part-00000.parquet").metadata[b"faunalens"])
    assert about["model"]["name"] == "tiny"
    polars = pytest.importorskip("polars")
    assert polars.read_parquet(out / "*.parquet")["p.ivory"].max() > 0.9
    duckdb = pytest.importorskip("duckdb")
    query = f"select count(*) from '{out}/*.parquet' where verdict = 'alert'"
    assert duckdb.sql(query).fetchall() == [(5,)]


def test_results_made_differently_are_not_mixed(
    photos: Path, tmp_path: Path, tiny_model_path: Path
) -> None:
    for name in ("r.jsonl", "parts"):
        out = tmp_path / name
        run("scan", photos, *options(tiny_model_path, out))
        again = run("scan", photos, *options(tiny_model_path, out))
        assert again.exit_code == 1
        assert "exists" in again.stderr
        assert "--resume" in again.stderr
        changed = run(
            "scan", photos, *options(tiny_model_path, out), "--resume", "--labels", "ivory"
        )
        assert changed.exit_code == 1
        assert "begun with other options: labels was ivory, " in changed.stderr
        assert " more and is now ivory. Use the same" in changed.stderr
        with_embeddings = run(
            "scan", photos, *options(tiny_model_path, out), "--resume", "--embeddings"
        )
        assert "embeddings was false and is now true" in with_embeddings.stderr
        strict = tmp_path / "strict.toml"
        strict.write_text("[parrot]\nalert = 0.99\n")
        stricter = run(
            "scan", photos, *options(tiny_model_path, out), "--resume", "--thresholds", strict
        )
        assert "other options: thresholds differ for parrot. Use" in stricter.stderr
        assert len(results(out)) == 10
        anew = run(
            "scan", photos, *options(tiny_model_path, out), "--overwrite", "--labels", "ivory"
        )
        assert anew.exit_code == 3
        assert len(results(out)) == 10


def test_another_look_is_named_without_what_follows_from_it(tmp_path: Path) -> None:
    begun = Manifest({"look": "second", "thresholds": {"ivory": 0.9}}, "0", "now")
    with pytest.raises(FileError) as refused:
        begun.must_agree({"look": "first", "thresholds": {"ivory": 0.8}}, tmp_path)
    assert 'other options: look was "second" and is now "first". Use' in str(refused.value)


def test_another_model_is_refused(photos: Path, tmp_path: Path, tiny_model_path: Path) -> None:
    from conftest import tiny_spec, write_tiny_model

    spec = tiny_spec()
    other = write_tiny_model(
        tmp_path / "other.onnx", type(spec)(**{**vars(spec), "version": "0.0.2"})
    )
    out = tmp_path / "r.jsonl"
    run("scan", photos, *options(tiny_model_path, out))
    refused = run("scan", photos, *options(other, out), "--resume")
    assert refused.exit_code == 1
    assert "model was tiny 0.0.1 (SHA-256 " in refused.stderr
    assert "and is now tiny 0.0.2 (SHA-256 " in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--resume"], 2, "--resume needs --out"),
        (["--resume", "--overwrite", "--out", "r.jsonl"], 2, "contradict"),
        (["--resume", "--out", "stray.jsonl"], 1, "stray.jsonl.manifest.json, which says how"),
        (["--out", "half.jsonl"], 1, "was begun and not finished; use --resume"),
        (["--overwrite", "--out", "full"], 1, "holds other files than results"),
        (["--out", "full"], 1, "holds other files than results"),
        (["--resume", "--out", "bad"], 1, "is not the manifest of a run"),
    ],
)
def test_one_line_says_what_is_wrong(
    photos: Path, tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("stray.jsonl").touch()
    Path("half.jsonl.part").touch()
    for folder in ("full", "bad"):
        Path(folder).mkdir()
    Path("full/thesis.doc").touch()
    Path("bad/_manifest.json").write_text("[]")
    result = run("scan", photos, "--model", tiny_model_path, "--workers", 0, *words)
    assert (result.exit_code, "Traceback" in result.output) == (code, False)
    assert message in result.stderr
    assert Path("full/thesis.doc").exists()
    assert not Path("stray.jsonl.part").exists()


def test_two_runs_do_not_write_the_same_results(
    photos: Path, tmp_path: Path, tiny_model_path: Path
) -> None:
    from faunalens.output_journal import lock

    (tmp_path / "parts").mkdir()
    held = [lock(tmp_path / "r.csv.part"), lock(tmp_path / "parts" / "_lock")]
    for name in ("r.csv", "parts"):
        result = run("scan", photos, *options(tiny_model_path, tmp_path / name), "--resume")
        assert (result.exit_code, "another run is writing" in result.stderr) == (1, True)
    for file in held:
        os.close(file)


def mount(folder: Path, size: str) -> None:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"FULL DISK NOT TESTED: no right to mount a small tmpfs: {done.stderr.strip()}")


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.parquet", "parts"])
def test_a_full_disk_stops_the_run_and_loses_nothing(
    photos: Path, tmp_path: Path, tiny_model_path: Path, name: str
) -> None:
    expected = tmp_path / name
    run("scan", photos, *options(tiny_model_path, expected), "--part-rows", 3)
    disk = tmp_path / "disk"
    mount(disk, "128k")
    try:
        ballast = disk / "ballast"
        stops = 0
        for room in (0, 4096, 8192, 12288, 16384, 24576, 1 << 17):
            ballast.unlink(missing_ok=True)
            used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*") if path.is_file())
            ballast.write_bytes(b"\0" * max(0, (1 << 17) - used - room))
            result = run(
                "scan", photos, *options(tiny_model_path, disk / name), "--part-rows", 3, "--resume"
            )
            assert "Traceback" not in result.output
            assert not isinstance(result.exception, OSError), result.exception
            if result.exit_code == 1:
                stops += 1
                assert "space" in result.stderr, result.stderr
        assert result.exit_code == 3
        assert stops
        assert results(disk / name) == results(expected)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_photo_that_vanishes_has_a_record(
    photos: Path, tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faunalens import inputs

    listed = inputs._walk

    def vanishing(folder: str, archives: bool) -> Any:
        for path in listed(folder, archives):
            if path.endswith("06.png"):
                os.unlink(path)
            yield path

    monkeypatch.setattr(inputs, "_walk", vanishing)
    out = tmp_path / "r.jsonl"
    assert run("scan", photos, *options(tiny_model_path, out)).exit_code == 3
    kinds = [record.failure and record.failure.kind for record in results(out)]
    assert kinds == [None] * 4 + ["not_an_image", None, "missing", None, None, None]
