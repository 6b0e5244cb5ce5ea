"""`faunalens report`: counts, the strongest hits, and a page that is safe to open."""

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browse
from click.testing import CliRunner, Result
from conftest import plain

from faunalens import model as model_module
from faunalens.cli import main
from faunalens.decide import Verdict
from faunalens.decode import Photo
from faunalens.drawing import draw
from faunalens.errors import FailureKind
from faunalens.fragments import fill, law, percent, visible
from faunalens.labels import LANGUAGES, load_labels
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.record import Failure, Record
from faunalens.report import FAILURES_KEPT, Summary, shorten, summarise, summary_lines
from faunalens.report_hits import look_again
from faunalens.report_page import GENERATOR, Setting, render
from faunalens.spec import ResizeRule

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
# Between review (0.5) and alert (0.9) in the tiny model: evidence 16 x 0.55 - 8 = 0.8.
PALE_RED = (140, 0, 0)
MODEL = {"name": "m", "version": "1", "sha256": "ab" * 32}


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


def hit(probability: float, verdict: Verdict = Verdict.ALERT, **fields: Any) -> Record:
    values: dict[str, Any] = {
        "source": "a.jpg",
        "model": MODEL,
        "sha256": "0" * 64,
        "label": "ivory",
        "family": "ivory",
        "rule": "ivory >= alert 0.9",
    }
    return Record(**{**values, **fields}, verdict=verdict, probability=probability)


def page_of(*records: Record) -> str:
    summary = summarise(records, top=10)
    hits = look_again(summary.hits, None, beside=Path("nowhere"))
    setting = Setting("results.jsonl", datetime(2026, 11, 24, tzinfo=UTC), load_labels())
    return render(summary, hits, setting)


def lines_of(summary: Summary, **options: Any) -> list[str]:
    options = {"width": None, "with_page": True, **options}
    return list(summary_lines(summary, load_labels(), "en", **options))


class Elements(HTMLParser):
    """What a browser would see: tags, their attributes, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


# ------------------------------------------------------------------------------------- summary


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


def test_strongest_hits_are_kept() -> None:
    records = [
        hit(0.6, Verdict.REVIEW, source="r1"),
        hit(0.95, source="a1"),
        hit(0.99, Verdict.REVIEW, source="r2"),  # an alert comes first whatever its probability
        hit(0.99, source="a2"),
        hit(0.95, source="a3"),  # of equals the first
        hit(0.1, Verdict.CLEAR, source="c"),
        hit(float("nan"), source="edited by hand"),
    ]
    assert [r.source for r in summarise(records, top=9).hits] == [
        "a2", "a1", "a3", "edited by hand", "r2", "r1",
    ]  # fmt: skip
    kept = summarise(records, top=2)
    assert [r.source for r in kept.hits] == ["a2", "a1"]
    assert (kept.hit_count, kept.photos) == (6, 7)


def test_memory_does_not_grow() -> None:
    def stream(count: int) -> Iterator[Record]:
        for number in range(count):
            if number % 2:
                yield Record("b", MODEL, failure=Failure(FailureKind.TRUNCATED, "x" * 100))
            else:
                yield hit(number / count, source=f"{number:0200}")

    tracemalloc.start()
    summary = summarise(stream(20_000), top=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (summary.photos, summary.failed) == (20_000, 10_000)
    assert [hit.source.lstrip("0") for hit in summary.hits][:2] == ["19998", "19996"]
    assert (len(summary.hits), len(summary.first_failures)) == (5, FAILURES_KEPT)
    assert peak < 1_000_000, "all of them would take more than 10 MB"


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("photos/a.jpg", None, "photos/a.jpg"),
        ("photos/a.jpg", 12, "photos/a.jpg"),
        ("photos/2024/holiday/a.jpg", 15, "phot…iday/a.jpg"),
        ("写真写真写真写真.jpg", 11, "写…写真.jpg"),
    ],
)
def test_shorten(text: str, columns: int | None, expected: str) -> None:
    assert shorten(text, columns) == expected


def test_rows_fit_the_terminal() -> None:
    long = "/data/" + "adverts/" * 40 + "photo.jpg"
    failed = Record(long, MODEL, failure=Failure(FailureKind.MISSING, "no such file"))
    lines = lines_of(summarise([hit(0.9, source=long), failed], top=5), width=80)
    assert [line for line in lines if len(line) > 80] == []
    assert sum("photo.jpg" in line for line in lines) == 2


def test_without_a_page_all_hits_are_listed() -> None:
    summary = summarise((hit(0.9, source=f"{n}.jpg") for n in range(50)), top=30)
    assert sum(".jpg" in line for line in lines_of(summary)) == 20
    assert sum(".jpg" in line for line in lines_of(summary, with_page=False)) == 30


def test_names_cannot_drive_the_terminal() -> None:
    bad = "a\x1b[2Jb\nc\u202egpj.\udcff"
    summary = summarise([hit(0.9, source=bad)], top=1)
    text = "\n".join(lines_of(summary))
    assert "a\\x1b[2Jb\\nc\\u202egpj.\\udcff" in text
    text.encode("utf-8")
    page_of(hit(0.9, source=bad)).encode("utf-8")


# ---------------------------------------------------------------------------------------- page


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


@pytest.mark.parametrize("field", ["source", "label", "rule", "ad", "sha256"])
def test_every_field_is_escaped(field: str) -> None:
    hostile: dict[str, Any] = {field: HOSTILE}
    page = page_of(hit(0.9, **hostile))
    assert "<img src=x" not in page and "&lt;img src=x" in page
    assert "<img" not in fill("<p>{x}</p>", x=HOSTILE)


def test_hostile_failure_and_model() -> None:
    failed = Record(HOSTILE, {"name": HOSTILE}, failure=Failure(FailureKind.INTERNAL, HOSTILE))
    page = page_of(failed)
    assert "<img src=x" not in page and page.count("&lt;img src=x") == 3


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


def test_family_decided() -> None:
    page = page_of(
        hit(
            0.95, label="live_snake", family="live_reptile", rule="family live_reptile >= alert 0.9"
        )
    )
    assert "Live reptile, kind uncertain; most likely: Live snake." in Elements(page).text


def test_unknown_label() -> None:
    page = Elements(page_of(hit(0.9, label="unicorn", family="horse", rule="unicorn >= alert 0.5")))
    assert "Looks like unicorn." in page.text and "Loxodonta" not in page.text


def test_no_hits() -> None:
    page = Elements(page_of(hit(0.1, Verdict.CLEAR)))
    assert "No protected wildlife recognised" in page.text and "No hits" in page.text


def test_all_failed_says_how_many_more() -> None:
    failed = Record("x.jpg", MODEL, failure=Failure(FailureKind.MISSING, "no such file"))
    page = Elements(page_of(*[failed] * (FAILURES_KEPT + 1234)))
    assert "And 1,234 more" in page.text


@pytest.mark.parametrize("label", load_labels().labels, ids=lambda label: label.id)
def test_unverified_law_is_marked(label: Any) -> None:
    pieces = law(label, load_labels().checked).split("<li>")[1:]
    assert len(pieces) == len(label.listings)
    for piece, listing in zip(pieces, label.listings, strict=True):
        doubts = [listing.cites_verified, listing.eu_verified].count(False)
        assert piece.count("not verified") == doubts
        text = Elements(piece).text
        assert listing.taxon in text and listing.source in text
        assert listing.as_of.isoformat() in text
        assert f"CITES Appendix {listing.cites}" in text and listing.note in text
    assert load_labels().checked.isoformat() in pieces[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_label_languages(five: Path, tiny_model_path: Path, language: str) -> None:
    done = report(five, "--model", tiny_model_path, "--labels-language", language)
    label = load_labels().label("ivory")
    assert label.names[language] in done.stdout
    seen = Elements(five.with_suffix(".html").read_text(encoding="utf-8"))
    assert label.looks_like[language] in seen.text and label.check[language][0] in seen.text
    assert {"lang": language} in [attributes for tag, attributes in seen.tags if tag == "ol"]


# -------------------------------------------------------------------------------------- target


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


# ------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    ("size", "drawn"),
    [((64, 48), (240, 180)), ((1000, 500), (440, 220)), ((300, 300), (300, 300))],
)
def test_drawing(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    width, height = size
    photo = Photo(np.full((height, width, 3), 128, np.uint8), width, height)
    evidence = np.full((8, 8), -1, np.float32)
    evidence[2:6, :4] = 5  # the left half, middle rows
    both = draw(photo, evidence, ResizeRule(32), longest_px=440, line_px=4)
    assert both.photo.size == drawn and both.evidence is not None
    assert both.evidence.size == drawn
    assert both.region == pytest.approx((0, 0.25, 0.5, 0.75), abs=0.06)
    assert np.ptp(np.asarray(both.photo)) == 0, "the plain picture stays plain"
    right = np.asarray(both.evidence)[:, round(drawn[0] * 0.7) :]
    assert np.ptp(right) == 0, "no heat where there is no evidence"
    assert draw(photo, evidence * 0, ResizeRule(32), longest_px=440, line_px=4).evidence is None


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(1.0, "> 99.9 %"), (0.9991, "> 99.9 %"), (0.9, "90.0 %"), (0.0004, "< 0.1 %"), (0, "< 0.1 %")],
)
def test_percent(probability: float, expected: str) -> None:
    assert percent(probability) == expected


def test_visible_keeps_letters() -> None:
    assert visible("Écailles de pangolin : 写真\u00a0€") == "Écailles de pangolin : 写真\u00a0€"


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
