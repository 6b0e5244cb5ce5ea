"""A photo, small enough for a page, and the same with the evidence for one label drawn over it."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from faunalens.decode import Photo
from faunalens.evidence import Box, heat_layer, heat_map, overlay, strongest_region
from faunalens.spec import ResizeRule

_SMALLEST_PX = 240  # smaller photos are enlarged to this, or the outline would hide them
_LINE = (214, 20, 60)  # the colour of strong evidence
_HALO = (255, 255, 255)  # beside the line, so that it shows on red and on dark photos too
_QUALITY = 80
_HEAT_PX = 256


@dataclass(frozen=True)
class Drawing:
    """Two pictures of one size.

    Attributes:
        photo: The photo alone.
        evidence: The photo with heat, and an outline around the strongest region; None if
            there was no evidence to draw.
        region: That region as shares of width and height: left, top, right, bottom, each 0 to 1.
    """

    photo: Image.Image
    evidence: Image.Image | None = None
    region: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Layers:
    """A photo and its evidence apart, for a page that lets its reader mix them.

    Attributes:
        photo: The photo alone.
        heat: RGBA, to be stretched over the photo; None if there was no evidence to draw.
        region: The strongest region, as in `Drawing`.
    """

    photo: Image.Image
    heat: Image.Image | None = None
    region: tuple[float, float, float, float] | None = None


def layers(
    photo: Photo,
    evidence: npt.NDArray[np.float32] | None,
    rule: ResizeRule,
    *,
    longest_px: int,
) -> Layers:
    """A photo and one label's evidence, apart; arguments as in `draw`."""
    small = _fit(Image.fromarray(photo.pixels), longest_px)
    if evidence is None:
        return Layers(small)
    # The maps have 7 to 16 cells a side: a browser stretches the rest without loss.
    scale = min(1.0, _HEAT_PX / max(small.size))
    width, height = (max(1, round(scale * side)) for side in small.size)
    heat = heat_map(evidence, rule, width, height)
    box = strongest_region(heat)
    if box is None:
        return Layers(small)
    return Layers(small, Image.fromarray(heat_layer(heat)), _shares(box, width, height))


def draw(
    photo: Photo,
    evidence: npt.NDArray[np.float32] | None,
    rule: ResizeRule,
    *,
    longest_px: int,
    line_px: int,
) -> Drawing:
    """Draw one label's evidence.

    Args:
        evidence: `(h, w)` class activation map; None to draw the photo alone.
        rule: The model's resize rule.
        longest_px: Longest side of the pictures; a smaller photo stays as it is, or is enlarged
            to 240 px.
        line_px: Width of the outline, without its white edges, on a picture of `longest_px`; on a
            smaller one as much less, but 2.
    """
    small = _fit(Image.fromarray(photo.pixels), longest_px)
    if evidence is None:
        return Drawing(small)
    heat = heat_map(evidence, rule, small.width, small.height)
    box = strongest_region(heat)
    if box is None:
        return Drawing(small)
    drawn = Image.fromarray(overlay(np.asarray(small), heat))
    _outline(drawn, box, max(2, round(line_px * max(small.size) / longest_px)))
    return Drawing(small, drawn, _shares(box, *small.size))


def data_uri(image: Image.Image) -> str:
    """The picture inside a URL, so that a page needs no other file. Carries no EXIF.

    JPEG, or WebP for a picture with transparency.
    """
    buffer = io.BytesIO()
    kind = "webp" if image.mode == "RGBA" else "jpeg"
    image.save(buffer, kind, quality=_QUALITY, **({"optimize": True} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _shares(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    return box.left / width, box.top / height, box.right / width, box.bottom / height


def _fit(image: Image.Image, longest_px: int) -> Image.Image:
    longest = max(image.size)
    wanted = min(max(longest, _SMALLEST_PX), longest_px)
    if wanted == longest:
        return image
    width, height = (max(1, round(side * wanted / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _outline(image: Image.Image, box: Box, line: int) -> None:
    pen = ImageDraw.Draw(image)
    # Pillow draws outlines inwards and includes the last pixel.
    right, bottom = max(box.left, box.right - 1), max(box.top, box.bottom - 1)
    pen.rectangle((box.left, box.top, right, bottom), outline=_HALO, width=line + 2)
    inner = (box.left + 1, box.top + 1, right - 1, bottom - 1)
    if inner[2] > inner[0] and inner[3] > inner[1]:
        pen.rectangle(inner, outline=_LINE, width=line)
