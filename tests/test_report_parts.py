"""The parts of a report: counts and lines, the page, its pictures."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from reports import HOSTILE, MODEL, Elements, hit, page_of

from faunalens.decide import Verdict
from faunalens.decode import Photo
from faunalens.drawing import draw
from faunalens.errors import FailureKind
from faunalens.fragments import fill, law, percent, visible
from faunalens.labels import load_labels
from faunalens.record import Failure, Record
from faunalens.report import FAILURES_KEPT, Summary, shorten, summarise, summary_lines
from faunalens.spec import ResizeRule


def lines_of(summary: Summary, **options: Any) -> list[str]:
    options = {"width": None, "with_page": True, **options}
    return list(summary_lines(summary, load_labels(), "en", **options))


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
