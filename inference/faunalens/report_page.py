"""A summary and its hits to one self-contained HTML page."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Template

from faunalens.decide import Verdict
from faunalens.errors import FileError
from faunalens.fragments import ENGLISH, Markup, badge, facts, fill, join, style
from faunalens.labels import LabelList
from faunalens.report import Summary, label_name
from faunalens.report_card import card
from faunalens.report_hits import Hit

GENERATOR = '<meta name="generator" content="faunalens report">'
"""Marks a page that may be replaced without asking: it can be made again from the results."""

_HEAD_BYTES = 2048  # the mark is in the first lines of a page


@dataclass(frozen=True)
class Setting:
    """What a page needs beside the summary.

    Attributes:
        results: Name of the results file.
        made: When the page is made, with time zone.
        language: Of the texts about labels; the page's own words are English.
        warnings: Sentences for the top of the page.
        reuse: Where else photos occur, by SHA-256 (see `report_reuse`).
    """

    results: str
    made: datetime
    labels: LabelList
    language: str = "en"
    warnings: tuple[str, ...] = ()
    reuse: Mapping[str, str] = field(default_factory=dict)


def render(summary: Summary, hits: Iterable[Hit], setting: Setting) -> str:
    """The page. Makes no request of its own and needs no script."""
    template = resources.files("faunalens").joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        generator=GENERATOR,
        title=fill("{name}: faunalens report", name=setting.results),
        style=style(),
        heading="Photos that may show protected wildlife"
        if summary.hits
        else "No protected wildlife recognised",
        lead=fill(
            "{photos:,} photos in {name}. A hit is a lead, not proof. {cannot}",
            photos=summary.photos,
            name=setting.results,
            cannot=ENGLISH.cannot_show,
        ),
        warnings=join(fill('<p class="warn">{text}</p>', text=w) for w in setting.warnings),
        counts=_counts(summary),
        by_label=_by_label(summary, setting),
        about=_about(summary, setting),
        hits_title=_hits_title(summary),
        hits=_cards(hits, len(summary.hits), setting),
        failures=_failures(summary),
        cannot_show=ENGLISH.cannot_show,
        **{str(verdict): badge(verdict) for verdict in Verdict},
    )


def check_target(out: Path, results: Path, *, overwrite: bool) -> None:
    """Refuse to lose a file.

    An earlier page of this program may be replaced, another file only with `overwrite`, and the
    results never.

    Raises:
        FileError: `out` may not be written.
    """
    if not out.exists():
        return
    if not out.is_file():
        raise FileError(f"cannot write the page to {out}: expected a file name, found a folder")
    if out.samefile(results):
        raise FileError(f"the page would replace the results {results}; name another with --out")
    try:
        with out.open("rb") as handle:
            ours = GENERATOR.encode() in handle.read(_HEAD_BYTES)
    except OSError as error:
        raise FileError(f"cannot read {out}, which the page would replace: {error}") from error
    if not (ours or overwrite):
        raise FileError(
            f"{out} exists and is not a report of faunalens; name another file with --out or use "
            "--overwrite"
        )


def write(page: str, out: Path) -> None:
    """Write the page; it appears under its name only when it is whole.

    Raises:
        FileError: The folder is missing, not writable or full.
    """
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(page, encoding="utf-8", newline="\n")
            os.replace(part, out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"cannot write {out}: {error.strerror}") from error


def _counts(summary: Summary) -> Markup:
    figures = [("photos", "Photos", summary.photos)]
    figures += [(str(v), str(v).capitalize(), summary.verdicts[v]) for v in Verdict]
    figures.append(("failed", "Not judged", summary.failed))
    return join(
        fill('<div class="{key}"><dt>{name}</dt><dd>{count:,}</dd></div>', key=k, name=n, count=c)
        for k, n, c in figures
    )


def _by_label(summary: Summary, setting: Setting) -> Markup:
    if not summary.labels:
        return Markup("<p>No hits: nothing protected was recognised in these photos.</p>")
    rows = join(
        fill(
            '<tr><td lang="{l}">{name}</td><td class="number">{alert:,}</td>'
            '<td class="number">{review:,}</td></tr>',
            l=setting.language,
            name=label_name(label, setting.labels, setting.language),
            alert=alert,
            review=review,
        )
        for label, (alert, review) in summary.labels.items()
    )
    return fill(
        '<table><thead><tr><th scope="col">Looks like</th><th scope="col" class="number">Alert</th>'
        '<th scope="col" class="number">Review</th></tr></thead><tbody>{rows}</tbody></table>',
        rows=rows,
    )


def _about(summary: Summary, setting: Setting) -> Markup:
    rows = [
        ("Results", fill('<span class="path">{name}</span>', name=setting.results)),
        ("Made", fill("{made}", made=setting.made.isoformat(" ", "minutes"))),
    ]
    for model, photos in summary.models.items():
        text = fill(
            "{name} {version}{count}<br><code>{sha256}</code>",
            name=model.name,
            version=model.version,
            sha256=model.sha256,
            count=f" ({photos:,} photos)" if len(summary.models) > 1 else "",
        )
        rows.append(("Model", text))
    rows.append(("Law", fill("list checked on {date}", date=setting.labels.checked.isoformat())))
    return facts(rows)


def _hits_title(summary: Summary) -> str:
    if not summary.hits:
        return "No hits"
    if len(summary.hits) == summary.hit_count:
        return f"Hits ({summary.hit_count:,})"
    return f"The strongest {len(summary.hits):,} of {summary.hit_count:,} hits"


def _cards(hits: Iterable[Hit], count: int, setting: Setting) -> Markup:
    explained: set[str | None] = set()
    cards = []
    for number, hit in enumerate(hits, 1):
        # The first card of each label shows its law and checks; the others have them folded.
        first = hit.record.label not in explained
        explained.add(hit.record.label)
        rank = f"{number:,} of {count:,}"
        again = setting.reuse.get(hit.record.sha256 or "")
        cards.append(card(hit, rank, setting.labels, setting.language, unfolded=first, reuse=again))
    return join(cards)


def _failures(summary: Summary) -> Markup:
    if not summary.failed:
        return Markup()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in summary.failures.items())
    left = summary.failed - len(summary.first_failures)
    rows = join(
        fill(
            '<tr><td class="path">{source}</td><td>{message}</td><td><code>{kind}</code></td></tr>',
            source=record.source,
            message=record.failure.message,
            kind=str(record.failure.kind),
        )
        for record in summary.first_failures
        if record.failure is not None
    )
    return fill(
        '<section id="failures"><h2>Not judged ({count:,})</h2><p class="lead">By kind: {kinds}. '
        'Nothing is known about what these photos show.</p><table class="failures"><thead><tr>'
        '<th scope="col">Photo</th><th scope="col">Reason</th><th scope="col">Kind</th></tr>'
        "</thead><tbody>{rows}</tbody></table>{left}</section>",
        count=summary.failed,
        kinds=kinds,
        rows=rows,
        left=fill("<p>And {left:,} more, which the results file lists.</p>", left=left)
        if left
        else Markup(),
    )
