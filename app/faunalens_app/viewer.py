"""The photo with its evidence: heat with a slider, and a box, both drawn by the browser."""

from faunalens.decode import decode, read_file
from faunalens.drawing import Layers, data_uri, layers
from faunalens.errors import PhotoError
from faunalens.fragments import Markup, fill
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench, Seen

LONGEST_PX = 1000
"""Of the picture; the page shows it at up to 680."""

_MIX = "this.closest('figure').style.setProperty('--fl-heat', this.value / 100)"
_BOX = "this.closest('figure').classList.toggle('fl-boxless', !this.checked)"


def photo_layers(seen: Seen, bench: Bench) -> Layers | None:
    """The photo, and the evidence for the label that decided; None if the copy is gone."""
    if seen.path is None:
        return None
    try:
        photo = decode(read_file(seen.path).data, at_least_px=LONGEST_PX)
    except PhotoError:
        return None
    spec, label = bench.spec, seen.record.label
    evidence = None
    if seen.evidence is not None and label in spec.labels:
        evidence = seen.evidence[spec.labels.index(label)]
    return layers(photo, evidence, spec.resize, longest_px=LONGEST_PX)


def viewer(seen: Seen, name: str, bench: Bench, say: Catalogue, *, marked: bool) -> Markup:
    """The figure.

    Args:
        name: Of the label, as it stands inside a sentence.
        marked: Whether to draw evidence, as for a hit.
    """
    drawn = photo_layers(seen, bench)
    if drawn is None:
        return fill('<p class="fl-small">{text}</p>', text=say("evidence.gone"))
    if not marked or drawn.heat is None or drawn.region is None:
        note = say("evidence.none") if marked else ""
        return fill(
            '<figure>{photo}<figcaption class="fl-small">{note}</figcaption></figure>',
            photo=_picture(drawn, say("evidence.photo_alt")),
            note=note,
        )
    left, top, right, bottom = drawn.region
    alt = say(
        "evidence.alt",
        label=name,
        left=round(100 * left),
        top=round(100 * top),
        right=round(100 * right),
        bottom=round(100 * bottom),
    )
    return fill(
        '<figure class="fl-marked"><h3>{title}</h3><div class="fl-stack">{photo}'
        '<img class="fl-heat" src="{heat}" alt=""><span class="fl-box" style="{place}"></span>'
        '</div><div class="fl-mix"><label>{slider}<input type="range" min="0" max="100" '
        'value="100" oninput="{mix}"></label><label class="fl-tick"><input type="checkbox" '
        'checked onchange="{tick}">{box}</label></div><figcaption>{more}</figcaption></figure>',
        title=say("evidence.title"),
        photo=_picture(drawn, alt),
        heat=Markup(data_uri(drawn.heat)),
        place=f"left:{left:.2%};top:{top:.2%};width:{right - left:.2%};height:{bottom - top:.2%}",
        slider=say("evidence.heat"),
        mix=_MIX,
        tick=_BOX,
        box=say("evidence.box"),
        more=say("evidence.more"),
    )


def _picture(drawn: Layers, alt: str) -> Markup:
    return fill(
        '<img src="{src}" width="{width}" height="{height}" alt="{alt}">',
        src=Markup(data_uri(drawn.photo)),
        width=drawn.photo.width,
        height=drawn.photo.height,
        alt=alt,
    )
