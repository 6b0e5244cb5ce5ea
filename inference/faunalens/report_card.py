"""One hit as a card of the report."""

from datetime import date

from faunalens.decide import Verdict
from faunalens.drawing import Drawing, data_uri
from faunalens.fragments import (
    ENGLISH,
    Markup,
    badge,
    bar,
    checks,
    facts,
    fill,
    find_label,
    headline,
    join,
    law,
    percent,
)
from faunalens.labels import Label, LabelList
from faunalens.record import Record
from faunalens.report import name_of, probability_of
from faunalens.report_hits import Hit


def card(
    hit: Hit,
    rank: str,
    labels: LabelList,
    language: str,
    *,
    unfolded: bool,
    reuse: str | None = None,
) -> Markup:
    """The pictures, the verdict and why, the file, and what to do next.

    Args:
        rank: Such as `3 of 20`.
        language: Of the texts about the label.
        unfolded: Whether the checks and the law are shown, or only on request.
        reuse: Where else the photo occurs, if that is known.
    """
    record = hit.record
    verdict = record.verdict or Verdict.CLEAR
    likely = probability_of(record)
    label = find_label(record.label, labels)
    return fill(
        '<article class="hit {verdict}"><div class="top">'
        '<div class="pictures">{pictures}</div><div class="answer">'
        '<div class="first">{badge}<span class="rank">{rank}</span></div><h3>{headline}</h3>'
        '<p class="chance"><b>{percent}</b>{bar}</p><p class="rule">Rule: <code>{rule}</code></p>'
        '<dl class="facts">{facts}</dl></div></div>{more}</article>',
        verdict=str(verdict),
        pictures=_pictures(hit, name_of(record, labels, language)),
        badge=badge(verdict),
        rank=rank,
        headline=headline(record, labels, language),
        percent=percent(likely),
        bar=bar(likely, verdict),
        rule=record.rule or "none",
        facts=facts(_of_file(record, reuse)),
        more=_more(label, labels.checked, language, unfolded) if label else Markup(),
    )


def _pictures(hit: Hit, name: str) -> Markup:
    note = fill("{note}", note=hit.note)
    if hit.drawing is None:
        return fill('<p class="absent">{note}</p>', note=note)
    photo = _figure(hit.drawing, "The photo", "The photo as scanned")
    if hit.drawing.evidence is None or hit.drawing.region is None:
        return join([photo, fill('<p class="fl-small">{note}</p>', note=note)])
    left, top, right, bottom = (round(100 * share) for share in hit.drawing.region)
    where = (
        f"The photo with the evidence for {name} marked. The strongest region reaches from {left} "
        f"to {right} % of the width and from {top} to {bottom} % of the height."
    )
    return join([photo, _figure(hit.drawing, f"Where: {name}", where, marked=True)])


def _figure(drawing: Drawing, caption: str, alt: str, *, marked: bool = False) -> Markup:
    picture = drawing.evidence if marked and drawing.evidence else drawing.photo
    return fill(
        '<figure><img src="{src}" width="{width}" height="{height}" alt="{alt}" decoding="async">'
        "<figcaption>{caption}</figcaption></figure>",
        src=Markup(data_uri(picture)),
        width=picture.width,
        height=picture.height,
        alt=alt,
        caption=caption,
    )


def _of_file(record: Record, reuse: str | None) -> list[tuple[str, Markup]]:
    rows = [("Photo", fill('<span class="path">{source}</span>', source=record.source))]
    if record.ad is not None:
        rows.append(("Advert", fill("{ad}", ad=record.ad)))
    if reuse is not None:
        rows.append(("Same photo", fill("{reuse}", reuse=reuse)))
    rows.append(("Size", fill("{size}", size=_size(record))))
    rows.append(("SHA-256", fill("<code>{sha256}</code>", sha256=record.sha256 or "none")))
    return rows


def _size(record: Record) -> str:
    parts = []
    if record.width and record.height:
        parts.append(f"{record.width:,} x {record.height:,} px")
    if record.bytes is not None:
        parts.append(f"{record.bytes:,} bytes")
    return ", ".join(parts) or "unknown"


def _more(label: Label, checked: date, language: str, unfolded: bool) -> Markup:
    return fill(
        "<details{opened}><summary>{check}, and the law <span>on {name}</span></summary>"
        '<div class="more">{checks}{law}</div></details>',
        opened=Markup(" open" if unfolded else ""),
        check=ENGLISH.check,
        name=label.names[language],
        checks=checks(label, language),
        law=law(label, checked),
    )
