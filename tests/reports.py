"""Made-up records and their page, for tests of `faunalens report`."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from faunalens.decide import Verdict
from faunalens.labels import load_labels
from faunalens.record import Record
from faunalens.report import summarise
from faunalens.report_hits import look_again
from faunalens.report_page import Setting, render

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
MODEL = {"name": "m", "version": "1", "sha256": "ab" * 32}


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
