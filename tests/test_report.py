"""`faunalens report`: counts, the strongest hits, and a page that is safe to open."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import browse
from click.testing import CliRunner, Result
from conftest import plain
from reports import HOSTILE, MODEL, Elements, hit

from faunalens import model as model_module
from faunalens.cli import main
from faunalens.labels import LANGUAGES, load_labels
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.report_page import GENERATOR

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
# Between review (0.5) and alert (0.9) in the tiny model: evidence 16 x 0.55 - 8 = 0.8.
PALE_RED = (140, 0, 0)


def save(colour: tuple[int, int, int], path: Path) -> Path:
    plain(colour).save(path, "PNG")
    return path


@pytest.fixture
def scan(tiny_model: Model, tmp_path: Path) -> Any:
    """Judge files and write their records as results.jsonl."""

    def run(*paths: Path, change: dict[str, Any] | None = None) -> Path:
        judged = Classifier(tiny_model).classify_batch(list(paths))
        results = tmp_path / "results.jsonl"
        lines = [replace(one.record, **(change or {})).to_json() for one in judged]
        results.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return results

    return run


@pytest.fixture
def five(tmp_path: Path, scan: Any) -> Path:
    """Two alerts, a review, a clear one and a failure."""
    broken = tmp_path / "broken.jpg"
    broken.write_text("no photo")
    colours = {"red": RED, "green": GREEN, "pale": PALE_RED, "grey": GREY}
    photos = [save(colour, tmp_path / f"{name}.png") for name, colour in colours.items()]
    results: Path = scan(*photos, broken)
    return results


def report(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_counts_and_table(five: Path, tiny_model_path: Path) -> None:
    done = report(five, "--model", tiny_model_path)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    rows = [line.split() for line in lines]
    assert [row for row in rows if row[1:2] == ["photos"]] == [["5", "photos"]]
    assert rows[3][:2] == ["2", "alert"] and rows[4][:2] == ["1", "review"]
    assert rows[5][:2] == ["1", "clear"]
    assert rows[6] == ["1", "failed", "1", "not_an_image"]
    assert ["Ivory", "1", "1"] in rows and ["Live", "snake", "1", "0"] in rows
    table = [line for line in lines if line.endswith(".png")]
    assert [line.split()[0] for line in table] == ["alert", "alert", "review"]
    assert len({line.index("%") for line in table}) == 1, "columns are aligned"
    assert any("broken.jpg: not a photo" in line for line in lines)
    assert f"{five.with_suffix('.html')}" in done.stdout
    assert "captive breeding" in lines[-1]


def test_only_the_summary(five: Path) -> None:
    assert report(five, "--no-html").exit_code == 0
    assert not five.with_suffix(".html").exists()
    assert report(five, "--no-html", "--out", "x.html").exit_code == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "no photos in"),
        ("\n\n", "no photos in"),
        (hit(0.9).to_json() + "\nnot json\n", "line 2"),
        (hit(0.9).to_json() + '\n\n{"schema": 1}\n', "line 3"),
        ("[1]\n", "line 1"),
    ],
)
def test_unusable_results(tmp_path: Path, content: str, expected: str) -> None:
    results = tmp_path / "r.jsonl"
    results.write_text(content)
    done = report(results)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ") and expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [results]


def test_page_holds_everything(five: Path, tiny_model_path: Path) -> None:
    assert report(five, "--model", tiny_model_path).exit_code == 0
    page = five.with_suffix(".html").read_text(encoding="utf-8")
    seen = Elements(page)
    assert sum(tag == "article" for tag, _ in seen.tags) == 3
    pictures = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert len(pictures) == 6
    assert all((one["src"] or "").startswith("data:image/jpeg;base64,") for one in pictures)
    assert all(one["alt"] for one in pictures)
    for expected in (
        "Looks like elephant-type ivory, raw or worked.",
        "Alert: look now",
        "ivory >= alert 0.9",
        "Schreger",
        "mammoth ivory",
        "Loxodonta africana",
        "tiny 0.0.1",
        "broken.jpg",
        "How to read this page",
        json.loads(five.read_text().splitlines()[0])["sha256"],
    ):
        assert expected in seen.text, expected
    assert {tag for tag, _ in seen.tags} & {"script", "link", "iframe", "object", "form"} == set()
    for _, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on")]
        address = attributes.get("src") or attributes.get("href") or "#"
        assert address.startswith(("#", "data:"))
    policies = [a for _, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in str(policies)


def test_hostile_name(tmp_path: Path, scan: Any, tiny_model_path: Path) -> None:
    results = scan(save(RED, tmp_path / HOSTILE))
    assert report(results, "--model", tiny_model_path).exit_code == 0
    page = results.with_suffix(".html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert HOSTILE in Elements(page).text


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.unlink(), "no file is at this path any more"),
        (lambda path: save(BLUE, path), "the file has changed since the scan"),
    ],
)
def test_photo_is_not_the_one_scanned(
    tmp_path: Path, scan: Any, tiny_model_path: Path, spoil: Any, expected: str
) -> None:
    photo = save(RED, tmp_path / "red.png")
    results = scan(photo)
    spoil(photo)
    assert report(results, "--model", tiny_model_path).exit_code == 0
    seen = Elements(results.with_suffix(".html").read_text(encoding="utf-8"))
    assert expected in seen.text
    assert not [tag for tag, _ in seen.tags if tag == "img"]
    assert "Looks like elephant-type ivory" in seen.text


def test_other_model(tmp_path: Path, scan: Any, tiny_model_path: Path) -> None:
    results = scan(save(RED, tmp_path / "red.png"), change={"model": MODEL})
    done = report(results, "--model", tiny_model_path)
    assert done.exit_code == 0 and "Warning: " in done.stderr and "abababababab" in done.stderr
    seen = Elements(results.with_suffix(".html").read_text(encoding="utf-8"))
    assert "others were found by another, m 1" in seen.text
    assert "another model made this result" in seen.text
    assert sum(tag == "img" for tag, _ in seen.tags) == 1
    assert report(results, "--model", tiny_model_path, "--quiet").stderr == ""


def test_no_model_at_hand(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "SHIPPED", "absent.onnx")
    done = report(five)
    assert done.exit_code == 0 and "is not drawn" in done.stderr
    seen = Elements(five.with_suffix(".html").read_text(encoding="utf-8"))
    assert sum(tag == "img" for tag, _ in seen.tags) == 3


def test_relative_paths_are_tried_beside_the_results(
    tmp_path: Path, scan: Any, tiny_model_path: Path
) -> None:
    results = scan(save(RED, tmp_path / "red.png"), change={"source": "red.png"})
    assert report(results, "--model", tiny_model_path).exit_code == 0
    assert results.with_suffix(".html").read_text(encoding="utf-8").count("data:image") == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_label_languages(five: Path, tiny_model_path: Path, language: str) -> None:
    done = report(five, "--model", tiny_model_path, "--labels-language", language)
    label = load_labels().label("ivory")
    assert label.names[language] in done.stdout
    seen = Elements(five.with_suffix(".html").read_text(encoding="utf-8"))
    assert label.looks_like[language] in seen.text and label.check[language][0] in seen.text
    assert {"lang": language} in [attributes for tag, attributes in seen.tags if tag == "ol"]


def test_an_earlier_report_is_replaced_and_nothing_else(five: Path, tiny_model_path: Path) -> None:
    page = five.with_suffix(".html")
    options = ("--model", tiny_model_path)
    page.write_text(f"<html>{GENERATOR}old")
    assert report(five, *options).exit_code == 0
    assert "old" not in page.read_text(encoding="utf-8")[:500]
    page.write_text("my thesis")
    refused = report(five, *options)
    assert refused.exit_code == 1 and "--overwrite" in refused.stderr and refused.stdout == ""
    assert page.read_text() == "my thesis"
    assert report(five, *options, "--overwrite").exit_code == 0
    before = five.read_bytes()
    assert report(five, *options, "--out", five, "--overwrite").exit_code == 1
    assert five.read_bytes() == before
    assert report(five, *options, "--out", five.parent, "--overwrite").exit_code == 1
    missing = report(five, *options, "--out", five.parent / "no" / "r.html")
    assert missing.exit_code == 1 and "cannot write" in missing.stderr
    assert not list(five.parent.glob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser(five: Path, tiny_model_path: Path, width: int) -> None:
    assert report(five, "--model", tiny_model_path).exit_code == 0
    address = five.with_suffix(".html").as_uri()
    with browse(width, 800) as watch:
        watch.page.goto(address)
        assert [url for url in watch.requests if not url.startswith("data:")] == [address]
        assert watch.errors == []
        assert watch.page.evaluate("document.documentElement.scrollWidth") == width
        # Dark text on light: every picture is drawn, and the first card's law is open.
        assert watch.page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        assert watch.page.locator("details[open]").count() == 2
