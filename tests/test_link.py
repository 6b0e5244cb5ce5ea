"""`faunalens link` and `faunalens similar`: copies are found, look-alikes are not tied."""

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import plain
from PIL import Image, ImageDraw, ImageOps

from faunalens.cli import main
from faunalens.decide import Verdict
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.record import encode_embedding

HOSTILE = "<img src=x onerror=alert(1)>"


def picture(seed: int, width: int = 240, height: int = 180) -> Image.Image:
    """Some coloured shapes on a coloured ground, different for each seed."""
    rng = np.random.default_rng(seed)
    image = plain(tuple(rng.integers(0, 256, 3).tolist()), width, height)
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        left, top = int(rng.integers(-40, width)), int(rng.integers(-40, height))
        right, bottom = left + int(rng.integers(20, 140)), top + int(rng.integers(20, 120))
        shape = pen.ellipse if rng.integers(2) else pen.rectangle
        shape((left, top, right, bottom), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


def written_on(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).text((12, 8), "SELLER 0123", fill=(255, 255, 0), font_size=18)
    return image


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 20, height // 20, width - width // 40, height - height // 40))


def saved_again(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": saved_again,
    "smaller": lambda image: image.resize((120, 90)),
    "mirrored": ImageOps.mirror,
    "cropped": cropped,
    "written on": written_on,
}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """With the shipped model: the tiny one's embedding is no more than the mean colour."""
    return Classifier()


@pytest.fixture
def scanned(classifier: Classifier, tmp_path: Path) -> Callable[..., Path]:
    """Save pictures, judge them, and write their records; a value may give record fields too."""

    def run(pictures: dict[str, Any], *, embeddings: bool = False) -> Path:
        lines = []
        for name, value in pictures.items():
            image, fields = value if isinstance(value, tuple) else (value, {})
            path = tmp_path / f"{name}.jpg"
            image.save(path, quality=70)
            judged = classifier.classify(path)
            assert judged.embedding is not None
            if embeddings:
                fields = {**fields, "embedding": encode_embedding(judged.embedding)}
            lines.append(replace(judged.record, **fields).to_json())
        results = tmp_path / "results.jsonl"
        results.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return results

    return run


@pytest.fixture
def run() -> Callable[..., Result]:
    def call(command: str, *arguments: object) -> Result:
        return CliRunner().invoke(main, [command, *map(str, arguments), "--workers", "2"])

    return call


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


# ---------------------------------------------------------------------------------------- link


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found(edit: str, scanned: Any, run: Any, tmp_path: Path) -> None:
    others = {f"other{n}": picture(n) for n in range(1, 7)}
    results = scanned({"first": picture(0), **others, "second": EDITS[edit](picture(0))})
    done = run("link", results)
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "results.clusters.csv")
    assert [Path(row["source"]).stem for row in rows] == ["first", "second"]
    assert {row["cluster"] for row in rows} == {"1"}
    assert {row["link"] for row in rows} == {"mirrored copy" if edit == "mirrored" else "copy"}
    assert "1 clusters of 2 photos" in done.stdout


def test_sellers_are_tied(scanned: Any, run: Any, tmp_path: Path) -> None:
    def of(seed: int, ad: str, seller: str) -> tuple[Image.Image, dict[str, Any]]:
        return picture(seed), {"ad": ad, "columns": {"seller": seller, "price": 5}}

    results = scanned(
        {
            "a": of(1, "10", "Ann"),
            "b": of(1, "11", "=Bob"),
            "c": of(2, "12", "Ann"),
            "d": of(2, "13", "=Bob"),
            "e": of(3, "14", "Cid"),
            "f": of(3, "15", "Cid"),
        }
    )
    done = run("link", results, "--by", "seller", "--ties", tmp_path / "ties.csv")
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "results.clusters.csv")
    assert sorted(row["ad"] for row in rows) == ["10", "11", "12", "13"], "Cid is only himself"
    assert {row["seller"] for row in rows} == {"Ann", "'=Bob"}, "no formula for a spreadsheet"
    assert {row["link"] for row in rows} == {"same file"}
    assert {row["different_seller"] for row in rows} == {"2"}
    ties = rows_of(tmp_path / "ties.csv")
    assert ties == [{"seller_a": "'=Bob", "seller_b": "Ann", "clusters": "2"}]
    assert run("link", results, "--overwrite").exit_code == 0
    assert {row["different_ad"] for row in rows_of(tmp_path / "results.clusters.csv")} == {"2"}
    again = run("link", results, "--by", "seller", "--at-least", 1, "--overwrite")
    assert "3 clusters of 6 photos" in again.stdout
    wrong = run("link", results, "--by", "vendor", "--overwrite")
    assert wrong.exit_code == 2 and "ad, source, folder, seller, price" in wrong.stderr


def test_the_page_is_safe(scanned: Any, run: Any, tmp_path: Path) -> None:
    columns = {"columns": {"seller": HOSTILE}}
    results = scanned({"a": (picture(1), columns), "b": (picture(1), {"columns": {"seller": "B"}})})
    assert run("link", results, "--by", "seller").exit_code == 0
    page = (tmp_path / "results.clusters.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "&lt;img src=x" in page
    assert page.count('src="data:image/jpeg') == 2 and "<script" not in page
    assert "default-src 'none'" in page
    assert run("link", results, "--overwrite", "--no-html").exit_code == 0


def test_the_report_says_where_else(scanned: Any, run: Any, tmp_path: Path) -> None:
    strong = {"verdict": Verdict.ALERT, "label": "ivory", "family": "ivory"}
    results = scanned({"a": (picture(1), {**strong, "ad": "1"}), "b": (picture(1), {"ad": "2"})})
    assert run("link", results, "--no-html").exit_code == 0
    clusters = tmp_path / "results.clusters.csv"
    done = CliRunner().invoke(main, ["report", str(results), "--clusters", str(clusters)])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "cluster 1: 2 photos, 2 different by ad" in page
    clusters.write_text("a,b\n1,2\n")
    wrong = CliRunner().invoke(main, ["report", str(results), "--clusters", str(clusters)])
    assert wrong.exit_code == 1 and "expected the CSV of `faunalens link`" in wrong.stderr


def test_embeddings_of_the_scan_are_used(scanned: Any, run: Any, monkeypatch: Any) -> None:
    results = scanned({"a": picture(1), "b": picture(1)}, embeddings=True)
    calls: list[int] = []
    predict = Model.predict

    def counted(self: Model, images: Any) -> Any:
        calls.append(len(images))
        return predict(self, images)

    monkeypatch.setattr(Model, "predict", counted)
    assert run("link", results).exit_code == 0
    assert len(calls) == 1, "only to learn the length of an embedding"


def test_targets_are_not_lost(scanned: Any, run: Any, tmp_path: Path) -> None:
    results = scanned({"a": picture(1), "b": picture(1)})
    before = results.read_bytes()
    assert run("link", results, "--out", results, "--overwrite").exit_code == 1
    assert results.read_bytes() == before
    assert run("link", results).exit_code == 0
    refused = run("link", results)
    assert refused.exit_code == 1 and "--overwrite" in refused.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    wrong = run("link", results, "--overwrite", "--index", tmp_path / "mine")
    assert wrong.exit_code == 1 and "is not an index of faunalens" in wrong.stderr
    assert run("link", results, "--overwrite", "--out", tmp_path / "no" / "x.csv").exit_code == 1


def test_photos_that_are_gone(scanned: Any, run: Any, tmp_path: Path) -> None:
    results = scanned({"a": picture(1), "b": picture(1), "c": picture(2)})
    (tmp_path / "c.jpg").unlink()
    done = run("link", results)
    assert done.exit_code == 0 and "1 photos are left out" in done.stderr
    assert "no file is at this path any more" in done.stderr
    for name in "ab":
        picture(9).save(tmp_path / f"{name}.jpg")
    assert run("link", results, "--overwrite").exit_code == 0, "their fingerprints are kept"
    none = run("link", results, "--overwrite", "--index", tmp_path / "new")
    assert none.exit_code == 1 and "none of the photos" in none.stderr


@pytest.mark.parametrize(
    ("content", "expected"), [("", "no photos"), ("no json\n", "line 1"), ("[]\n", "line 1")]
)
def test_unusable_results(run: Any, tmp_path: Path, content: str, expected: str) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(content)
    done = run("link", results)
    assert done.exit_code == 1 and expected in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("package", ["faiss", "imagehash"])
def test_without_the_extra(package: str, scanned: Any, run: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    done = run("link", scanned({"a": picture(1)}))
    assert done.exit_code == 1 and "pip install 'faunalens[link]'" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_other_forms_of_results(kind: str, scanned: Any, run: Any, tmp_path: Path) -> None:
    photos = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    scanned({"a": picture(1), "b": picture(1).resize((120, 90)), "c": picture(2)})
    out = tmp_path / (f"r.{kind}" if kind == "csv" else "parts")
    options = ["--out", str(out), "--format", kind, "--embeddings", "--workers", "0", "--quiet"]
    done = CliRunner().invoke(main, ["scan", *map(str, photos), *options, "--part-rows", "1"])
    assert done.exit_code == 0, done.output
    assert "1 clusters of 2 photos" in run("link", out).stdout
    assert (tmp_path / f"{out.stem}.clusters.csv").is_file()


# ------------------------------------------------------------------------------------- similar


def test_copies_come_first(scanned: Any, run: Any, tmp_path: Path) -> None:
    photos = {f"p{n}": picture(n) for n in range(6)}
    results = scanned({**photos, "small": picture(3).resize((120, 90))})
    query = tmp_path / "p3.jpg"
    done = run("similar", results, query, "--json", "--top", 4)
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["match"]["link"] for one in found] == ["same file", "copy", *["looks alike"] * 2]
    assert Path(found[1]["record"]["source"]).stem == "small"
    ImageOps.mirror(picture(5)).save(tmp_path / "query.jpg")
    table = run("similar", results, tmp_path / "query.jpg", "--copies-only")
    assert "1 copies of" in table.stdout and "mirrored copy" in table.stdout
    assert "p5.jpg" in table.stdout and "looks alike" not in table.stdout


def test_a_query_that_is_no_photo(scanned: Any, run: Any, tmp_path: Path) -> None:
    results = scanned({"a": picture(1)})
    (tmp_path / "query.jpg").write_text("no photo")
    done = run("similar", results, tmp_path / "query.jpg")
    assert done.exit_code == 1
    assert "query.jpg" in done.stderr and "not a photo" in done.stderr


def test_flat_photos_are_no_copies(scanned: Any, run: Any) -> None:
    results = scanned({"red": plain((200, 30, 30)), "blue": plain((30, 30, 200))})
    assert "0 clusters" in run("link", results).stdout
