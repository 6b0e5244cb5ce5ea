"""What happens to photos between the seller's phone and the advert, one edit at a time.

All are fixed, so that two evaluations see the same pictures.
"""

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Edit = Callable[[Image.Image, list[Image.Image]], bytes]
"""An RGB photo, and three others that show nothing protected, to the bytes of a file."""

UNCHANGED = "as it is"

_QUALITY = 92  # of the file after an edit that is not about compression
_SMALL_PX = 160
_GAP_PX = 6


def jpeg(image: Image.Image, quality: int = _QUALITY) -> bytes:
    """The photo as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def scaled_down(image: Image.Image) -> Image.Image:
    """A thumbnail with a longest side of 160 px."""
    return ImageOps.contain(image, (_SMALL_PX, _SMALL_PX), Image.Resampling.BICUBIC)


def watermark(image: Image.Image) -> Image.Image:
    """A seller's name across the photo, half transparent, three times."""
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(max(12, image.width // 9))
    for share in (0.15, 0.45, 0.75):
        draw.text(
            (image.width * 0.06, image.height * share),
            "www.shop.example",
            font=font,
            fill=(255, 255, 255, 150),
            stroke_width=1,
            stroke_fill=(0, 0, 0, 110),
        )
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def screenshot(image: Image.Image) -> Image.Image:
    """A phone's screen with the photo in an app: bars above and below, a price, a button."""
    width = image.width
    head, foot = round(0.14 * width), round(0.34 * width)
    screen = Image.new("RGB", (width, image.height + head + foot), "white")
    screen.paste(image, (0, head))
    draw = ImageDraw.Draw(screen)
    large, small = (ImageFont.load_default(max(9, round(width * s))) for s in (0.06, 0.04))
    draw.rectangle((0, 0, width, round(head * 0.35)), fill="#222")
    draw.text((width * 0.03, head * 0.02), "12:41", font=small, fill="white")
    draw.text((width * 0.03, head * 0.42), "< Marketplace", font=large, fill="#222")
    below = head + image.height
    draw.text((width * 0.04, below + foot * 0.06), "EUR 120 - like new", font=large, fill="#222")
    draw.text((width * 0.04, below + foot * 0.36), "Posted 2 h ago", font=small, fill="#777")
    button = (width * 0.04, below + foot * 0.6, width * 0.96, below + foot * 0.92)
    draw.rounded_rectangle(button, radius=6, fill="#1b74e4")
    draw.text((width * 0.38, below + foot * 0.64), "Message", font=large, fill="white")
    return screen


def collage(image: Image.Image, others: list[Image.Image]) -> Image.Image:
    """Two by two photos, this one at the top left."""
    size = (image.width, image.height)
    sheet = Image.new("RGB", (2 * size[0] + _GAP_PX, 2 * size[1] + _GAP_PX), "white")
    for place, one in enumerate((image, *others[:3])):
        left, top = (place % 2) * (size[0] + _GAP_PX), (place // 2) * (size[1] + _GAP_PX)
        sheet.paste(ImageOps.fit(one, size), (left, top))
    return sheet


def brightness(factor: float) -> Callable[[Image.Image], Image.Image]:
    """All values times `factor`."""
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def blur(image: Image.Image) -> Image.Image:
    """Out of focus: a Gaussian of 0.6 % of the longest side."""
    return image.filter(ImageFilter.GaussianBlur(0.006 * max(image.size)))


def of_a_screen(image: Image.Image) -> Image.Image:
    """A photo of a screen, taken at an angle: bezel, pixel grid, glare, a blue cast, soft focus."""
    pixels = np.asarray(image, np.float32)
    height, width = pixels.shape[:2]
    # Sub-pixels of the screen beat with those of the camera.
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for channel, shift in enumerate((0.0, 2.1, 4.2)):
        wave = np.sin(2 * np.pi * (x * 0.29 + y * 0.03) + shift)
        pixels[..., channel] *= 0.93 + 0.07 * wave
    glare = np.exp(-(((x - 0.75 * width) / (0.35 * width)) ** 2 + (y / (0.5 * height)) ** 2))
    pixels = pixels * np.array([0.92, 0.98, 1.06], np.float32) + 70 * glare[..., None]
    rim = round(0.06 * max(height, width))
    screen = cv2.copyMakeBorder(
        np.clip(pixels, 0, 255).astype(np.uint8), rim, rim, rim, rim, cv2.BORDER_CONSTANT,
        value=(18, 18, 20),
    )  # fmt: skip
    h, w = screen.shape[:2]
    corners = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
    seen = np.array(
        [(0.04 * w, 0.05 * h), (0.97 * w, 0.01 * h), (w, 0.97 * h), (0.01 * w, 0.93 * h)],
        np.float32,
    )
    turned = cv2.warpPerspective(
        screen, cv2.getPerspectiveTransform(corners, seen), (w, h), borderValue=(96, 90, 84)
    )
    return blur(Image.fromarray(np.asarray(turned, np.uint8)))


def _alone(change: Callable[[Image.Image], Image.Image]) -> Edit:
    return lambda image, others: jpeg(change(image))


def _compressed(quality: int) -> Edit:
    return lambda image, others: jpeg(image, quality)


EDITS: dict[str, Edit] = {
    **{f"JPEG quality {quality}": _compressed(quality) for quality in (90, 70, 50, 35, 20)},
    "down to 160 px": _alone(scaled_down),
    "watermark": _alone(watermark),
    "screenshot": _alone(screenshot),
    "collage 2x2": lambda image, others: jpeg(collage(image, others)),
    "rotated by 90": _alone(lambda image: image.transpose(Image.Transpose.ROTATE_90)),
    "mirrored": _alone(ImageOps.mirror),
    "darker (0.5)": _alone(brightness(0.5)),
    "brighter (1.5)": _alone(brightness(1.5)),
    "blurred": _alone(blur),
    "greyscale": _alone(lambda image: image.convert("L").convert("RGB")),
    "photo of a screen": _alone(of_a_screen),
}
"""Name of an edit to what it does."""
