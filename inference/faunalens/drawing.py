"""A photo, small enough for a page, and the same with the evidence for one label drawn over it."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from faunalens.decode import Photo
from faunalens.evidence import Box, heat_map, overlay, strongest_region
from faunalens.spec import ResizeRule

_SMALLEST_PX = 240  # smaller photos are enlarged to this, or the outline would hide them
_LINE = (214, 20, 60)  # the colour of strong evidence
_HALO = (255, 255, 255)  # beside the line, so that it shows on red and on dark photos too
_JPEG_QUALITY = 80


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
    width, height = small.size
    region = (box.left / width, box.top / height, box.right / width, box.bottom / height)
    return Drawing(small, drawn, region)


def data_uri(image: Image.Image) -> str:
    """The picture inside a URL, so that a page needs no other file. Carries no EXIF."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


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
