"""Pictures that are no photos of anything: what a novelty score must recognise, drawn by a seed.

Made of nothing (a page of text, a cartoon, a baggage X-ray, noise, a gradient), or out of a photo
(its X-ray-like negative, its pencil sketch), which keeps the shape of what the model knows.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageOps

Pixels = npt.NDArray[np.uint8]
_SIDE = 448

_WORDS = (
    *(
        "the",
        "and",
        "for",
        "with",
        "from",
        "your",
        "order",
        "total",
        "price",
        "delivery",
        "contact",
    ),
    *("message", "seller", "offer", "item", "new", "used", "size", "colour", "shipping", "payment"),
    *("12.50", "EUR", "2026", "Brussels", "Paris", "Berlin", "Utrecht", "number", "name", "street"),
)


def text(rng: np.random.Generator) -> Pixels:
    """A screenshot of text: lines of words, perhaps boxes and a bar, dark on light or light on
    dark."""
    dark = rng.random() < 0.3
    paper, ink = ((24, 26, 30), (225, 225, 225)) if dark else ((255, 255, 255), (20, 20, 25))
    image = Image.new("RGB", (_SIDE, int(_SIDE * rng.uniform(0.6, 1.8))), paper)
    draw = ImageDraw.Draw(image)
    size = int(rng.integers(11, 26))
    accent = _colour(rng)
    y = int(rng.integers(6, 40))
    if rng.random() < 0.6:
        draw.rectangle((0, 0, image.width, y + size), fill=accent)
    y += size + 10
    while y < image.height:
        line = " ".join(rng.choice(_WORDS, int(rng.integers(1, 12))))
        draw.text((12, y), line, fill=accent if rng.random() < 0.1 else ink, font_size=size)
        y += int(size * rng.uniform(1.3, 2.2))
        if rng.random() < 0.1:
            box = (12, y, int(rng.integers(80, image.width)), y + 2 * size)
            draw.rectangle(box, outline=ink, fill=accent if rng.random() < 0.3 else None)
            y += 3 * size
    return np.asarray(image)


def drawing(rng: np.random.Generator) -> Pixels:
    """A cartoon: flat shapes with outlines on plain paper, some with eyes and legs."""
    paper = (255, 255, 255) if rng.random() < 0.6 else _colour(rng, 180)
    image = Image.new("RGB", (2 * _SIDE, 2 * _SIDE), paper)
    draw = ImageDraw.Draw(image)
    filled = rng.random() < 0.6
    width = int(rng.integers(3, 14))
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.integers(60, 600, 2)
        w, h = rng.integers(80, 420, 2)
        fill = _colour(rng) if filled else None
        shape = int(rng.integers(4))
        if shape == 0:
            draw.ellipse((x, y, x + w, y + h), fill=fill, outline=(0, 0, 0), width=width)
            eye = (x + w * 0.7, y + h * 0.2, x + w * 0.7 + 24, y + h * 0.2 + 24)
            draw.ellipse(eye, fill=(0, 0, 0))
            for leg in (0.25, 0.4, 0.6, 0.75):
                foot = (x + w * leg, y + h, x + w * leg - 10, y + h + 70)
                draw.line(foot, fill=(0, 0, 0), width=width)
        elif shape == 1:
            corners = rng.integers(0, 400, (int(rng.integers(3, 9)), 2))
            points = [(int(x + a), int(y + b)) for a, b in corners]
            draw.polygon(points, fill=fill, outline=(0, 0, 0), width=width)
        elif shape == 2:  # something long that winds
            steps = np.linspace(0, rng.uniform(6, 14), 60)
            xs = x + np.linspace(0, w * 2, 60)
            ys = y + h / 2 + h / 3 * np.sin(steps)
            path = [(int(a), int(b)) for a, b in zip(xs, ys, strict=True)]
            draw.line(path, fill=(0, 0, 0), width=4 * width, joint="curve")
            draw.line(path, fill=fill or paper, width=3 * width, joint="curve")
        else:
            draw.rectangle((x, y, x + w, y + h), fill=fill, outline=(0, 0, 0), width=width)
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


def xray(rng: np.random.Generator) -> Pixels:
    """A baggage scan: overlapping translucent shapes, in grey or in the scanner's colours."""
    density = np.zeros((_SIDE, _SIDE), np.float64)
    for _ in range(int(rng.integers(6, 26))):
        layer = Image.new("L", (_SIDE, _SIDE))
        draw = ImageDraw.Draw(layer)
        x, y = rng.integers(-40, 380, 2)
        w, h = rng.integers(15, 260, 2)
        value = int(rng.integers(20, 130))
        outline = bool(rng.random() < 0.4)
        given = {"outline": value, "width": 5} if outline else {"fill": value}
        shape = draw.ellipse if rng.random() < 0.6 else draw.rectangle
        shape((x, y, x + w, y + h), **given)
        layer = layer.rotate(float(rng.uniform(0, 180)))
        density += np.asarray(layer.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 4)))))
    through = np.exp(-density / 160)
    return _scanned(through, rng)


def noise(rng: np.random.Generator) -> Pixels:
    """White noise, in blocks of 1 to 16 px, in grey or in colour."""
    cells = int(rng.choice([_SIDE, _SIDE // 2, _SIDE // 4, _SIDE // 16]))
    channels = 1 if rng.random() < 0.3 else 3
    if rng.random() < 0.5:
        values = rng.normal(128, rng.uniform(10, 80), (cells, cells, channels)).clip(0, 255)
    else:
        values = rng.uniform(0, 255, (cells, cells, channels))
    pixels = np.broadcast_to(values, (cells, cells, 3)).astype(np.uint8)
    how = Image.Resampling.NEAREST if rng.random() < 0.5 else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(pixels).resize((_SIDE, _SIDE), how))


def gradient(rng: np.random.Generator) -> Pixels:
    """A smooth run from one colour to another, straight or round; or one colour."""
    first, second = np.array(_colour(rng)), np.array(_colour(rng))
    y, x = np.mgrid[0:1:448j, 0:1:448j]
    kind = rng.integers(3)
    if kind == 0:
        angle = rng.uniform(0, 2 * np.pi)
        share = (np.cos(angle) * x + np.sin(angle) * y) % 1
    elif kind == 1:
        share = np.hypot(x - rng.random(), y - rng.random()).clip(0, 1)
    else:
        share = np.zeros_like(x)
    pixels: Pixels = (first + share[..., None] * (second - first)).astype(np.uint8)
    return pixels


def xray_of(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A photo as a scanner might show its subject: negative, soft, without its colours."""
    grey = ImageOps.autocontrast(ImageOps.grayscale(Image.fromarray(pixels)), cutoff=1)
    soft = np.asarray(grey.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.5)))))
    through = soft / 255 if rng.random() < 0.3 else 1 - soft / 255
    return _scanned(through ** rng.uniform(0.7, 1.6), rng)


def sketch_of(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A photo as a pencil drawing: dark lines along its edges (dodged by its blurred negative)."""
    grey = ImageOps.grayscale(Image.fromarray(pixels))
    blurred = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(float(rng.uniform(2, 6))))
    dodged = np.asarray(grey, np.float64) * 256 / (256 - np.asarray(blurred, np.float64))
    lines = (255 * (dodged.clip(0, 255) / 255) ** rng.uniform(1, 4)).astype(np.uint8)
    return np.repeat(lines[..., None], 3, 2)


DRAWN: dict[str, Callable[[np.random.Generator], Pixels]] = {
    "text": text,
    "drawing": drawing,
    "xray": xray,
    "noise": noise,
    "gradient": gradient,
}
"""Kind to what draws it; `(h, w, 3)` uint8 RGB."""

DERIVED: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "xray_of_photo": xray_of,
    "sketch_of_photo": sketch_of,
}
"""Kind to what makes it out of the pixels of a photo; same shape."""


def _scanned(through: npt.NDArray[np.float64], rng: np.random.Generator) -> Pixels:
    """Light let through, 0 to 1, as grey or in orange, green and blue by density."""
    through = through.clip(0, 1)
    if rng.random() < 0.4:
        shade = through if rng.random() < 0.5 else 1 - through
        return np.repeat((255 * shade[..., None]).astype(np.uint8), 3, 2)
    stops = np.array([(10, 10, 60), (40, 90, 200), (60, 160, 70), (240, 150, 40), (255, 255, 255)])
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(through, at, stops[:, c]) for c in range(3)], 2).astype(np.uint8)


def _colour(rng: np.random.Generator, least: int = 0) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in rng.integers(least, 256, 3))
    return red, green, blue
