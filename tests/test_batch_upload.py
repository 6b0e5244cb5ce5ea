"""Many photos at once: zips and results files that mean harm, or are only broken."""

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import plain

pytest.importorskip("gradio", reason="the extra `app` is not installed")

from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app.batch import BatchError, open_all
from faunalens_app.catalogue import catalogue
from faunalens_app.export import export_csv, export_report
from faunalens_app.gallery import gallery, thumbnail
from faunalens_app.seen import Bench, Seen
from faunalens_app.uploads import Upload

SAY = catalogue("en")


def png() -> bytes:
    buffer = io.BytesIO()
    plain((255, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def opened(path: Path, folder: Path, name: str = "") -> list[Upload]:
    return open_all([Upload(path, name or path.name)], folder, SAY).photos


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_zip_is_unpacked_under_names_of_ours(tmp_path: Path) -> None:
    members = {
        "../../../outside.png": png(), "/etc/absolute.png": png(), "C:\\x.png": png(),
        "folder/in.JPG": png(), "notes.txt": b"text", "__MACOSX/._in.png": b"x", "inner.zip": b"PK",
    }  # fmt: skip
    path = zipped(tmp_path / "a.zip", members)
    folder = tmp_path / "unpacked"
    found = opened(path, folder)
    assert [one.name for one in found] == [*members][:4]
    assert all(one.path.resolve().is_relative_to(folder.resolve()) for one in found)
    assert not list(tmp_path.parent.glob("outside.png"))
    assert found[0].path.read_bytes() == png()


def test_a_zip_bomb_is_not_opened(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"a.png": bytes(120 * 2**20)})
    assert path.stat().st_size < 2**20
    with pytest.raises(BatchError, match=r"bomb\.zip.*not opened"):
        opened(path, tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").rglob("*.png"))


@pytest.mark.parametrize("cut", [0, 10, 50, -30])
def test_a_broken_zip(tmp_path: Path, cut: int) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png()})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BatchError, match="damaged"):
        opened(path, tmp_path / "unpacked")


def test_a_damaged_member_costs_one_photo(tmp_path: Path, tiny_model: Model) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": png() * 50, "b.png": png()})
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    photos = opened(path, tmp_path / "unpacked")
    judged = Classifier(tiny_model).classify_batch([one.path for one in photos])
    assert [one.record.status for one in judged] == ["failed", "ok"]


def test_too_many_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faunalens_app.batch.MOST", 3)
    path = zipped(tmp_path / "a.zip", {f"{n}.png": png() for n in range(4)})
    with pytest.raises(BatchError, match="At most 3"):
        opened(path, tmp_path / "unpacked")
    with pytest.raises(BatchError, match="At most 3"):
        open_all([Upload(tmp_path / f"{n}.png", f"{n}.png") for n in range(4)], tmp_path, SAY)


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv"])
def test_results_of_a_scan(
    tmp_path: Path, tiny_model: Model, name: str, run: Callable[..., Path]
) -> None:
    photo = tmp_path / "red.png"
    photo.write_bytes(png())
    results = run(photo, tmp_path / name)
    found = open_all([Upload(results, name)], tmp_path, SAY)
    assert not found.photos and [one.label for one in found.records] == ["ivory"]


@pytest.fixture
def run(tiny_model_path: Path) -> Callable[..., Path]:
    from click.testing import CliRunner

    from faunalens.cli import main

    def scan(photo: Path, out: Path) -> Path:
        command = ["scan", str(photo), "--out", str(out), "--model", str(tiny_model_path)]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        return out

    return scan


@pytest.mark.parametrize(
    ("name", "data"),
    [("r.jsonl", b"{}\n"), ("r.jsonl", b"\xff\xfe"), ("r.csv", b"a,b\n1,2\n"), ("r.jsonl", b"x")],
)
def test_a_broken_results_file(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BatchError, match="line 1: not a result"):
        opened(path, tmp_path)


def test_exports(tmp_path: Path, tiny_model: Model) -> None:
    photo = tmp_path / "red.png"
    photo.write_bytes(png())
    bench = Bench.of(Classifier(tiny_model))
    judgement = bench.classifier.classify(photo, source='=HYPERLINK("x")')
    seen = [Seen.of(judgement, photo, bench.spec)]
    with export_csv(seen, {}, tmp_path).open(encoding="utf-8-sig", newline="") as handle:
        (row,) = csv.DictReader(handle)
    assert row["source"] == '\'=HYPERLINK("x")' and row["label"] == "ivory"
    for language in ("en", "de"):
        say = catalogue(language)
        page = export_report(seen, bench, say, tmp_path).read_text(encoding="utf-8")
        assert say("evidence.title") in page and f'<html lang="{language}"' in page
        assert "http" not in page.split("</style>")[1].replace("http://www.w3.org", "")
    shown = gallery(seen, [0], 0, {}, bench, SAY)
    assert SAY("many.no_photo") in shown
    assert thumbnail(photo).startswith("data:image/jpeg") and thumbnail(tmp_path / "no") == ""
