"""The photos of a batch as a page of buttons, each with its verdict in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from faunalens.decide import Verdict
from faunalens.decisions import OfficerDecision
from faunalens.decode import decode, read_file
from faunalens.drawing import data_uri
from faunalens.errors import PhotoError
from faunalens.fragments import Markup, badge, fill, join, plain
from faunalens_app.answer import title
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench, Seen

PAGE = 24
"""Photos on one page."""

_SIDE_PX = 180


def gallery(
    seen: Sequence[Seen],
    order: Sequence[int],
    at: int,
    decided: Mapping[str, OfficerDecision],
    bench: Bench,
    say: Catalogue,
) -> Markup:
    """The page that holds the photo at `order[at]`."""
    page = at // PAGE
    places = range(page * PAGE, min((page + 1) * PAGE, len(order)))
    items = join(
        _item(seen[order[place]], place, place == at, decided, bench, say) for place in places
    )
    text = say(
        "many.shown",
        found=say.number(len(order)),
        page=say.number(page + 1),
        pages=say.number(1 + (len(order) - 1) // PAGE),
    )
    return fill(
        '<p class="fl-small">{text}</p><ul class="fl-gallery" aria-label="{name}">{items}</ul>',
        text=text,
        name=say("many.gallery"),
        items=items,
    )


def _item(
    one: Seen,
    place: int,
    here: bool,
    decided: Mapping[str, OfficerDecision],
    bench: Bench,
    say: Catalogue,
) -> Markup:
    record = one.record
    words = plain(title(record, bench, say))
    name = record.ad or record.source
    decision = decided.get(str(record.sha256))
    verdict = record.verdict
    return fill(
        '<li><button type="button" data-open="{place}" aria-label="{label}"{here}>{picture}'
        "{badge}<span>{words}</span><small>{decision}</small></button></li>",
        place=place,
        label=say("many.open", number=say.number(place + 1), title=words, name=name),
        here=Markup(' aria-current="true"' if here else ""),
        picture=_picture(one, say),
        badge=badge(verdict, say.words) if isinstance(verdict, Verdict) else Markup(),
        words=words,
        decision=say(f"decide.{decision.choice}") if decision else "",
    )


def _picture(one: Seen, say: Catalogue) -> Markup:
    if not one.small:
        return fill('<span class="fl-absent">{text}</span>', text=say("many.no_photo"))
    return fill('<img src="{src}" alt="" loading="lazy">', src=Markup(one.small))


def thumbnail(path: Path) -> str:
    """A small picture of a photo, as a URL; empty if there is none."""
    try:
        image = Image.fromarray(decode(read_file(path).data, at_least_px=_SIDE_PX).pixels)
    except PhotoError:
        return ""
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    return data_uri(image)
