"""A case record as PDF (fpdf2), with the JSON attached. The font is matplotlib's DejaVu Sans."""

import base64
import io
import warnings
from collections.abc import Iterable
from datetime import date, datetime
from importlib.resources import files
from typing import Any

from fpdf import FPDF
from fpdf.enums import WrapMode
from PIL import Image

from faunalens.decisions import Choice
from faunalens.decode import decode
from faunalens.errors import PhotoError
from faunalens.fragments import find_label, visible
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench

_FONT = "DejaVu"
_LONGEST_PX = 1000
_WIDTH_MM = 170.0


class _Page(FPDF):
    def __init__(self, say: Catalogue) -> None:
        super().__init__(format="A4")
        self._say = say
        fonts = files("matplotlib").joinpath("mpl-data", "fonts", "ttf")
        self.add_font(_FONT, "", str(fonts / "DejaVuSans.ttf"))
        self.add_font(_FONT, "B", str(fonts / "DejaVuSans-Bold.ttf"))
        self.set_margins(20, 18)
        self.set_auto_page_break(True, 20)

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font(_FONT, "", 8)
        text = self._say("case.page", number=self.page_no(), all="{nb}")
        self.cell(0, 6, text, align="R")


def case_pdf(
    case: dict[str, Any], text: bytes, made: datetime, say: Catalogue, bench: Bench
) -> bytes:
    """The PDF of a sealed record.

    Args:
        text: The record as JSON, to be attached as `record.json`.
    """
    content = case["content"]
    page = _Page(say)
    page.set_title(say("case.title"))
    page.set_lang(say.language)
    page.set_creation_date(made)
    page.set_creator(content["program"])
    page.add_page()
    _text(page, say("case.title"), 16, bold=True)
    _text(page, content["statement"], 9)
    _facts(
        page,
        [
            (say("case.made"), say.time(made)),
            (say("case.officer"), content["officer"]),
            (say("case.program"), content["program"]),
            (say("case.hash"), case["sha256"]),
        ],
    )
    for number, photo in enumerate(content["photos"]):
        if number:
            page.add_page()
        _photo(page, photo, say, bench, content["law_checked"])
    page.ln(8)
    _text(page, f"{say('case.signature')}: ______________________________", 10)
    _text(page, say("case.verify"), 8)
    page.embed_file(bytes=text, basename="record.json", mime_type="application/json")
    with warnings.catch_warnings():
        # A file name may hold a character that the font has not: a box stands for it.
        warnings.simplefilter("ignore")
        return bytes(page.output())


def _photo(
    page: _Page, photo: dict[str, Any], say: Catalogue, bench: Bench, law_checked: str
) -> None:
    record, decision = photo["record"], photo["decision"]
    page.ln(3)
    _text(page, photo["text"], 13, bold=True)
    _pictures(page, photo, say)
    label = find_label(record["label"], bench.labels)
    probability = record["probability"]
    limits = photo["thresholds"]
    verdict = say(f"verdict.{record['verdict']}") if record["verdict"] else say("answer.failed")
    rows = [(say("case.answer"), f"{verdict}. {photo['text']}")]
    if probability is not None:
        words = say("chance.line", words=say.chance(probability), percent=say.percent(probability))
        name = label.names[say.language] if label else str(record["label"])
        rows.append((say("case.probability"), f"{name}. {words}"))
    if limits:
        marks = {key: say.percent(limits[key]) for key in ("alert", "review")}
        sentence = say("answer.thresholds", **marks)
        rows.append((say("case.thresholds"), f"{sentence} {record['rule']}"))
    said = say("case.undecided")
    if decision:
        said = choice_words(decision, say, bench)
        said += f" ({decision['officer']}, {say.time(datetime.fromisoformat(decision['at']))})"
    rows.append((say("case.decision"), said))
    if decision and decision["note"]:
        rows.append((say("case.note"), decision["note"]))
    model = record["model"]
    size = say(
        "file.size_value",
        width=say.number(record["width"] or 0),
        height=say.number(record["height"] or 0),
        bytes=say.number(record["bytes"] or 0),
    )
    rows += [
        (say("file.name"), record["source"]),
        (say("file.size"), size),
        (say("file.sha256"), str(record["sha256"])),
        (say("file.judged"), say.time(datetime.fromisoformat(photo["judged"]))),
        (say("file.model"), f"{model['name']} {model['version']}, SHA-256 {model['sha256']}"),
    ]
    if photo["exif"]:
        facts = "; ".join(f"{key}: {value}" for key, value in photo["exif"].items())
        rows.append((say("case.exif"), facts))
    rows += [(say.words.law, _listing(one, say)) for one in photo["law"]]
    if photo["law"]:
        checked = say.date(date.fromisoformat(law_checked))
        rows.append((say.words.law, say.words.checked.format(date=checked)))
    _facts(page, rows)


def _listing(listing: dict[str, Any], say: Catalogue) -> str:
    """What `law_facts` gives of one listing, as a sentence."""
    words = say.words

    def fact(name: str, value: str, verified: bool) -> str:
        shown = words.not_listed if value == "not listed" else value
        return f"{name} {shown}" + ("" if verified else f" ({words.not_verified})")

    cites = fact(words.appendix, listing["cites"], listing["cites_verified"])
    annex = fact(words.annex, listing["eu_annex"], listing["eu_verified"])
    note = f" {listing['note']}" if listing["note"] else ""
    read = f"{listing['source']}, {words.as_of} {say.date(date.fromisoformat(listing['as_of']))}"
    return f"{listing['taxon']}: {cites}, {annex}.{note} ({read})"


def choice_words(decision: dict[str, Any], say: Catalogue, bench: Bench) -> str:
    """A decision in words, with the label that the photo shows instead."""
    words = say(f"decide.{decision['choice']}")
    if decision["choice"] != Choice.OTHER:
        return words
    label = find_label(decision["other_label"], bench.labels)
    name = label.names[say.language] if label else say("decide.nothing")
    return f"{words}: {name}"


def _pictures(page: _Page, photo: dict[str, Any], say: Catalogue) -> None:
    """The photo, and beside it the photo with the evidence."""
    if photo["file"] is None:
        return
    try:
        pixels = decode(base64.b64decode(photo["file"]["base64"]), at_least_px=_LONGEST_PX).pixels
    except PhotoError:
        return
    plain = Image.fromarray(pixels)
    plain.thumbnail((_LONGEST_PX, _LONGEST_PX))
    shown = [(plain, say("case.photo"))]
    if photo["evidence_picture"] is not None:
        data = base64.b64decode(photo["evidence_picture"]["base64"])
        shown.append((Image.fromarray(decode(data).pixels), say("evidence.title")))
    width = (_WIDTH_MM - 6) / 2
    height = min(100.0, width * plain.height / plain.width)
    if page.get_y() + height + 10 > page.h - 20:
        page.add_page()
    top = page.get_y() + 2
    for place, (image, caption) in enumerate(shown):
        left = 20 + place * (width + 6)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        page.image(
            buffer, x=left, y=top, w=width, h=height, keep_aspect_ratio=True, alt_text=caption
        )
        page.set_xy(left, top + height)
        page.set_font(_FONT, "", 8)
        page.cell(width, 5, caption)
    page.set_xy(20, top + height + 7)


def _text(page: _Page, text: str, size: int, *, bold: bool = False) -> None:
    page.set_font(_FONT, "B" if bold else "", size)
    page.multi_cell(0, size * 0.5, visible(text), new_x="LMARGIN", new_y="NEXT", align="L")


def _facts(page: _Page, rows: Iterable[tuple[str, str]]) -> None:
    page.ln(2)
    for name, value in rows:
        page.set_font(_FONT, "B", 8)
        top, number = page.get_y(), page.page_no()
        page.multi_cell(38, 4.4, name, new_x="LMARGIN", new_y="NEXT", align="L")
        below = page.get_y()
        if page.page_no() != number:  # the name went to the next page, and its value with it
            top, number = page.t_margin, page.page_no()
        page.set_xy(60, top)
        page.set_font(_FONT, "", 8)
        page.multi_cell(
            130,
            4.4,
            visible(value),
            new_x="LMARGIN",
            new_y="NEXT",
            align="L",
            wrapmode=WrapMode.CHAR if len(value.split()) < 2 else WrapMode.WORD,
        )
        if page.page_no() == number:
            page.set_y(max(below, page.get_y()))
        page.ln(0.8)
