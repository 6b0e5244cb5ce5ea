"""Results to a summary: counts and the strongest hits, in memory that does not grow with them."""

import heapq
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from faunalens.decide import Verdict
from faunalens.errors import FailureKind
from faunalens.fragments import deciding_family, find_label, percent, visible
from faunalens.labels import LabelList
from faunalens.record import Record

FAILURES_KEPT = 200
"""Failures of which the record is kept; the others are only counted."""

_ROWS = 20  # hits in the terminal, when the page has them all
_FAILURES_SHOWN = 10
_LEGEND = {
    Verdict.ALERT: "look now",
    Verdict.REVIEW: "worth a look",
    Verdict.CLEAR: "nothing protected recognised",
}


class ModelName(NamedTuple):
    """The model that made a record."""

    name: str
    version: str
    sha256: str

    @classmethod
    def of(cls, raw: Mapping[str, str]) -> "ModelName":
        """From the `model` field of a record."""
        return cls(*(str(raw.get(key, "unknown")) for key in cls._fields))

    def __str__(self) -> str:
        return f"{self.name} {self.version} (SHA-256 {self.sha256[:12]})"


@dataclass(frozen=True)
class Summary:
    """What a results file holds.

    Attributes:
        models: Photos per model, in order of appearance; one, unless files were joined.
        verdicts: Photos per verdict; all three are there.
        failures: Photos without a verdict, per kind.
        labels: Per label id its hits, `(alert, review)`; most alerts first.
        hits: The strongest, alert before review, then by probability.
        first_failures: At most FAILURES_KEPT.
    """

    models: Mapping[ModelName, int]
    verdicts: Mapping[Verdict, int]
    failures: Mapping[FailureKind, int]
    labels: Mapping[str, tuple[int, int]]
    hits: tuple[Record, ...]
    first_failures: tuple[Record, ...]

    @property
    def photos(self) -> int:
        """All photos, with a verdict or without."""
        return sum(self.verdicts.values()) + self.failed

    @property
    def failed(self) -> int:
        """Photos without a verdict."""
        return sum(self.failures.values())

    @property
    def hit_count(self) -> int:
        """Photos with verdict alert or review, of which `hits` has the strongest."""
        return self.verdicts[Verdict.ALERT] + self.verdicts[Verdict.REVIEW]


def summarise(records: Iterable[Record], *, top: int) -> Summary:
    """Count records one by one, and keep the `top` strongest hits."""
    models: Counter[ModelName] = Counter()
    verdicts = Counter(dict.fromkeys(Verdict, 0))
    failures: Counter[FailureKind] = Counter()
    labels: dict[str, Counter[Verdict]] = {}
    first_failures: list[Record] = []
    heap: list[tuple[int, float, int, Record]] = []
    for number, record in enumerate(records):
        models[ModelName.of(record.model)] += 1
        if record.failure is not None:
            failures[record.failure.kind] += 1
            if len(first_failures) < FAILURES_KEPT:
                first_failures.append(record)
            continue
        assert record.verdict is not None  # a record has either
        verdicts[record.verdict] += 1
        if record.verdict is Verdict.CLEAR:
            continue
        labels.setdefault(record.label or "unknown", Counter())[record.verdict] += 1
        # The number is unique, so records are never compared, and of equals the first stays.
        entry = (record.verdict.strength, probability_of(record), -number, record)
        if len(heap) < top:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    by_hits = sorted(labels.items(), key=lambda item: _alert_review(item[1]), reverse=True)
    return Summary(
        models=dict(models),
        verdicts=dict(verdicts),
        failures=dict(failures.most_common()),
        labels={label: _alert_review(counts) for label, counts in by_hits},
        hits=tuple(entry[-1] for entry in sorted(heap, reverse=True)),
        first_failures=tuple(first_failures),
    )


def probability_of(record: Record) -> float:
    """The probability, as a number that sorts: a file edited by hand may hold none, or NaN."""
    value = record.probability
    return float(value) if value is not None and math.isfinite(value) else 0.0


def name_of(record: Record, labels: LabelList, language: str) -> str:
    """What a hit shows, as a short name; the family's where the kind is uncertain."""
    family = deciding_family(record, labels)
    if family is not None:
        return labels.family(family).names[language]
    return label_name(record.label or "unknown", labels, language)


def label_name(label_id: str, labels: LabelList, language: str) -> str:
    """The label's name, or its id if this list does not know it."""
    label = find_label(label_id, labels)
    return label.names[language] if label else visible(label_id)


def summary_lines(
    summary: Summary, labels: LabelList, language: str, *, width: int | None, with_page: bool
) -> Iterator[str]:
    """The summary for a terminal.

    Args:
        width: Columns, to which paths are shortened; None not to shorten.
        with_page: Whether a page shows the other hits, so that 20 are enough here.
    """
    for model in summary.models:
        yield f"Model: {visible(str(model))}"
    figures = [(f"{summary.photos:,}", "photos", "")]
    for verdict in Verdict:
        figures.append((f"{summary.verdicts[verdict]:,}", str(verdict), _LEGEND[verdict]))
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in summary.failures.items())
    figures.append((f"{summary.failed:,}", "failed", kinds or "every photo was judged"))
    yield ""
    yield from table_lines(figures, right={0})
    if summary.labels:
        yield ""
        yield "Hits by label"
        rows = [("looks like", "alert", "review")]
        for label, (alert, review) in summary.labels.items():
            rows.append((label_name(label, labels, language), f"{alert:,}", f"{review:,}"))
        yield from table_lines(rows, right={1, 2})
    shown = summary.hits[:_ROWS] if with_page else summary.hits
    if shown:
        yield ""
        yield f"Strongest hits ({len(shown):,} of {summary.hit_count:,})"
        table = [("verdict", "looks like", "probability", "photo")]
        for hit in shown:
            name, likely = name_of(hit, labels, language), percent(probability_of(hit))
            table.append((str(hit.verdict), name, likely, visible(hit.source)))
        yield from table_lines(table, right={2}, width=width)
    if summary.first_failures:
        failed = summary.first_failures[:_FAILURES_SHOWN]
        yield ""
        yield f"Not judged ({len(failed)} of {summary.failed:,})"
        for record in failed:
            assert record.failure is not None
            half = None if width is None else max(20, width // 2)
            path = shorten(visible(record.source), half)
            yield f"  {path}: {visible(record.failure.message)} ({record.failure.kind})"


def shorten(text: str, columns: int | None) -> str:
    """Cut the middle out: the ends of a path say most. None does not cut."""
    if columns is None or _columns(text) <= columns:
        return text
    room = max(columns - 1, 2)
    # The file's name is at the end, so the end gets more.
    head, tail = "", ""
    for char in text:
        if _columns(head + char) > room // 3:
            break
        head += char
    for char in reversed(text):
        if _columns(head + char + tail) > room:
            break
        tail = char + tail
    return f"{head}…{tail}"


def _alert_review(counts: Counter[Verdict]) -> tuple[int, int]:
    return counts[Verdict.ALERT], counts[Verdict.REVIEW]


def table_lines(
    rows: Sequence[Sequence[str]], *, right: set[int], width: int | None = None
) -> Iterator[str]:
    """Aligned columns two spaces apart; the last one is cut to the width."""
    last = len(rows[0]) - 1
    widths = [max(_columns(row[column]) for row in rows) for column in range(last)]
    room = None if width is None else max(20, width - sum(widths) - 2 * (last + 1))
    for row in rows:
        cells = []
        for column, text in enumerate(row):
            if column == last and column not in right:
                cells.append(shorten(text, room))
                continue
            wanted = widths[column] if column < last else max(_columns(r[last]) for r in rows)
            pad = " " * (wanted - _columns(text))
            cells.append(pad + text if column in right else text + pad)
        yield ("  " + "  ".join(cells)).rstrip()


def _columns(text: str) -> int:
    """Columns in a terminal: East Asian wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
