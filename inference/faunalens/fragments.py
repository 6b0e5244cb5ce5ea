"""Pieces of HTML that the report and the web app share, and their words.

Whatever is filled into a piece is escaped, unless it is a piece itself.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from string import Formatter
from types import MappingProxyType
from typing import Any

from faunalens.decide import Verdict
from faunalens.labels import Label, LabelList, Listing
from faunalens.record import Record


@dataclass(frozen=True)
class Words:
    """What the pieces say, in one language.

    Attributes:
        verdicts: What each verdict asks for.
        uncertain: Headline when a family decided; with `{family}` and `{label}`.
        not_verified: Mark of a listing that was not read in its source.
        checked: With `{date}`, when the law was last checked.
        written: How a day is written.
        notes: English notes and sources of listings to their translations; others stay English.
    """

    verdicts: Mapping[Verdict, str]
    uncertain: str
    cannot_show: str
    check: str
    look_alikes: str
    law: str
    appendix: str
    annex: str
    not_listed: str
    as_of: str
    not_verified: str
    checked: str
    written: Callable[[date], str] = date.isoformat
    notes: Mapping[str, str] = field(default_factory=dict)


ENGLISH = Words(
    verdicts=MappingProxyType(
        {
            Verdict.ALERT: "Alert: look now",
            Verdict.REVIEW: "Review: worth a look",
            Verdict.CLEAR: "Clear",
        }
    ),
    uncertain="{family}, kind uncertain; most likely: {label}.",
    cannot_show="A photo cannot show age, origin, captive breeding or a certificate.",
    check="What to check",
    look_alikes="Easily mistaken for it",
    law="The law",
    appendix="CITES Appendix",
    annex="EU Annex",
    not_listed="not listed",
    as_of="as of",
    not_verified="not verified",
    checked="List checked on {date}; look up Species+ before relying on it.",
)


_TAG = re.compile(r"<[^>]*>")


class Markup(str):
    """Text that is HTML already."""


def visible(text: str) -> str:
    """The text with control and direction characters written out.

    File names may hold escape sequences that move a terminal's cursor, marks that turn the reading
    direction, and bytes that are not UTF-8 (lone surrogates, which cannot be written to a file).
    """
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else char
        for char in text
    )


def fill(template: str, /, **values: Any) -> Markup:
    """`str.format` for HTML: every value is escaped, unless it is Markup."""
    return Markup(_ESCAPING.vformat(template, (), values))


def plain(markup: Markup) -> str:
    """The text of a short piece, as a reader sees it."""
    return html.unescape(_TAG.sub("", markup))


def join(pieces: Iterable[Markup]) -> Markup:
    """Pieces in a row."""
    return Markup("".join(pieces))


class _Escaping(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        text = format(value, format_spec)
        return text if isinstance(value, Markup) else html.escape(visible(text))


_ESCAPING = _Escaping()


def style() -> str:
    """The style sheet of the pieces."""
    return resources.files("faunalens").joinpath("fragments.css").read_text(encoding="utf-8")


def percent(probability: float) -> str:
    """`99.7 %`. Never 0 or 100: a model is not certain."""
    if probability > 0.999:
        return "> 99.9 %"
    if probability < 0.001:
        return "< 0.1 %"
    return f"{100 * probability:.1f} %"


def deciding_family(record: Record, labels: LabelList) -> str | None:
    """Id of the family that decided; None if it was a single label."""
    who, _, rest = (record.rule or "").partition(" ")
    key = rest.split(" ")[0]
    known = {family.id for family in labels.families}
    return key if who == "family" and key in known else None


def headline(record: Record, labels: LabelList, language: str, words: Words = ENGLISH) -> Markup:
    """What a hit looks like, in a sentence; names the family where the kind is uncertain."""
    label = find_label(record.label, labels)
    if label is None:
        return fill("Looks like {label}.", label=record.label or "an unknown label")
    family = deciding_family(record, labels)
    if family is None:
        return fill('<span lang="{l}">{text}</span>', l=language, text=label.looks_like[language])
    names = labels.family(family).names[language], label.names[language]
    marked = [fill('<span lang="{l}">{name}</span>', l=language, name=name) for name in names]
    return fill(words.uncertain, family=marked[0], label=marked[1])


def find_label(label_id: str | None, labels: LabelList) -> Label | None:
    """The label, or None if this list does not know it (another model may)."""
    return next((label for label in labels.labels if label.id == label_id), None)


# Shapes differ, not only colours: triangle, ring, tick.
_SHAPES = {
    Verdict.ALERT: '<path d="M8 1 15.5 14.5H.5Z"/><path class="ink" d="M7.1 5.5h1.8v5H7.1zm0 6h1.8v'
    '1.8H7.1z"/>',
    Verdict.REVIEW: '<path fill-rule="evenodd" d="M7 1a6 6 0 0 1 4.8 9.6l3.7 3.7-1.4 1.4-3.7-3.7A6'
    ' 6 0 1 1 7 1m0 2a4 4 0 1 0 0 8 4 4 0 0 0 0-8"/>',
    Verdict.CLEAR: '<path d="m6 14-5.5-5.5L2 7l4 4 8-8 1.5 1.5Z"/>',
}


def badge(verdict: Verdict, words: Words = ENGLISH) -> Markup:
    """The verdict as a word with a shape."""
    return fill(
        '<span class="fl-badge fl-{verdict}"><svg viewBox="0 0 16 16" aria-hidden="true">{shape}'
        "</svg>{text}</span>",
        verdict=str(verdict),
        shape=Markup(_SHAPES[verdict]),
        text=words.verdicts[verdict],
    )


def bar(probability: float, verdict: Verdict) -> Markup:
    """A probability as a length; the number stands beside it, so readers are not told twice."""
    share = min(max(probability, 0.0), 1.0)
    return fill(
        '<span class="fl-bar fl-{verdict}" aria-hidden="true"><span style="width:{share:.1f}%">'
        "</span></span>",
        verdict=str(verdict),
        share=100 * share,
    )


def facts(rows: Iterable[tuple[str, Markup]]) -> Markup:
    """Names and values, for a `<dl>`."""
    return join(fill("<dt>{name}</dt><dd>{text}</dd>", name=name, text=text) for name, text in rows)


def checks(label: Label, language: str, words: Words = ENGLISH, heading: str = "h4") -> Markup:
    """What to check next, and what it is mistaken for; `heading` is the level of the headings."""
    items = join(fill("<li>{text}</li>", text=text) for text in label.check[language])
    return fill(
        '<section class="fl-checks"><{h}>{check}</{h}><ol lang="{l}">{items}</ol>'
        '<{h}>{look_alikes}</{h}><p lang="{l}">{names}</p></section>',
        h=heading,
        check=words.check,
        look_alikes=words.look_alikes,
        items=items,
        l=language,
        names=", ".join(label.look_alikes[language]) + ".",
    )


def law(label: Label, checked: date, words: Words = ENGLISH, heading: str = "h4") -> Markup:
    """The listings of a label, each with its source and date; what was not read is marked."""
    return fill(
        '<section class="fl-law"><{h}>{law}</{h}><ul>{rows}</ul><p class="fl-small">{checked}</p>'
        "</section>",
        h=heading,
        law=words.law,
        rows=join(_listing(listing, words) for listing in label.listings),
        checked=words.checked.format(date=words.written(checked)),
    )


def _listing(listing: Listing, words: Words) -> Markup:
    note = _foreign('<span class="fl-note"{lang}>{text}</span>', listing.note, words)
    return fill(
        "<li><b><i>{taxon}</i></b> {cites} {annex}{note}"
        '<span class="fl-small">{source}, {as_of} {date}</span></li>',
        taxon=listing.taxon,
        cites=_fact(words.appendix, listing.cites, listing.cites_verified, words),
        annex=_fact(words.annex, listing.eu_annex, listing.eu_verified, words),
        note=note,
        source=_foreign("<span{lang}>{text}</span>", listing.source, words),
        as_of=words.as_of,
        date=words.written(listing.as_of),
    )


def _foreign(template: str, english: str, words: Words) -> Markup:
    """A text that the label list has in English alone, translated if the words know it."""
    if not english:
        return Markup()
    known = words.notes.get(english)
    lang = Markup("" if known else ' lang="en"')
    return fill(template, lang=lang, text=known or english)


def _fact(name: str, value: str, verified: bool, words: Words) -> Markup:
    doubt = fill(" <em>{text}</em>", text=words.not_verified)
    return fill(
        '<span class="fl-fact{style}">{name} <b>{value}</b>{doubt}</span>',
        style="" if verified else " fl-doubt",
        name=name,
        value=words.not_listed if value == "not listed" else value,
        doubt=Markup() if verified else doubt,
    )
