"""What adverts do to photos. Works on the decoded photo, before `faunalens.preprocess`."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torchvision.transforms import InterpolationMode, v2

from faunalens_train.config import AugmentConfig
from faunalens_train.draw import chance, integer, uniform

_WORDS = (
    "SALE", "NEW", "VINTAGE", "RARE", "antique", "50% OFF", "DM me", "for sale", "à vendre",
    "te koop", "zu verkaufen", "original", "Fast shipping", "sold", "EUR 120", "$45", "@shop",
    "www.shop.example", "1/5", "No. 307", "like new",
)  # fmt: skip


class AdvertAugment:
    """`(H, W, 3)` uint8 RGB photo to a changed one, about `size_px` square."""

    def __init__(self, config: AugmentConfig, size_px: int) -> None:
        self._crop = _some(
            config.crop_p,
            v2.RandomResizedCrop(
                size_px,
                scale=(config.crop_min_area, 1.0),
                ratio=(1 / config.aspect, config.aspect),
                interpolation=InterpolationMode.BICUBIC,
                antialias=True,
            ),
        )
        self._steps: list[Callable[[Image.Image], Image.Image]] = [
            v2.Resize((size_px, size_px), InterpolationMode.BICUBIC, antialias=True),
            v2.RandomHorizontalFlip(config.flip_p),
            _some(config.frame_p, ScreenshotFrame()),
            _some(
                config.rotate_p,
                v2.RandomRotation(config.rotate_deg, InterpolationMode.BILINEAR, fill=127),
            ),
            _some(
                config.jitter_p,
                v2.ColorJitter(config.jitter, config.jitter, config.jitter, config.hue),
            ),
            _some(config.cast_p, ColourCast()),
            v2.RandomGrayscale(config.grey_p),
            _some(config.text_p, TextOverlay()),
            _some(config.rescale_p, Rescale(config.rescale_min_px)),
            _some(config.blur_p, v2.GaussianBlur(5, (0.3, 1.8))),
            _some(config.jpeg_p, v2.JPEG((config.jpeg_min_quality, 95))),
        ]

    def __call__(
        self, pixels: npt.NDArray[np.uint8], *, crop: bool = True
    ) -> npt.NDArray[np.uint8]:
        """Change one photo; the result is uint8 RGB, `size_px` square.

        Args:
            crop: False keeps all of the photo, whose object may be small and at its edge.
        """
        image = Image.fromarray(pixels)
        if crop:  # first: all that follows then works on a small picture
            image = self._crop(image)
        for step in self._steps:
            image = step(image)
        return np.asarray(image)


class ScreenshotFrame:
    """A photo inside an app's screen: plain borders, sometimes a bar with a line of text."""

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        shade = (0, 18, 32, 245, 255)[integer(5)]
        screen = Image.new("RGB", image.size, (shade,) * 3)
        top, bottom = (int(height * uniform(0, 0.16)) for _ in range(2))
        left = int(width * uniform(0, 0.12)) if chance(0.5) else 0
        inner = image.resize((width - 2 * left, height - top - bottom))
        screen.paste(inner, (left, top))
        if top > 12 and chance(0.6):
            ink = (255 - shade,) * 3
            ImageDraw.Draw(screen).text((6, 2), _words(), fill=ink, font=_font(top - 4))
        return screen


class TextOverlay:
    """A watermark, price tag or caption: one to three words anywhere, sometimes on a bar."""

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        layer = Image.new("RGBA", image.size)
        draw = ImageDraw.Draw(layer)
        for _ in range(1 + integer(3)):
            size = int(height * uniform(0.05, 0.16))
            at = (int(width * uniform(-0.1, 0.7)), int(height * uniform(0, 0.9)))
            ink = tuple(integer(256) for _ in range(3))
            strength = int(uniform(90, 255))
            if chance(0.25):
                bar = (at[0] - 4, at[1] - 2, at[0] + size * 6, at[1] + size + 4)
                draw.rectangle(bar, fill=(*(255 - c for c in ink), strength))
            draw.text(at, _words(), fill=(*ink, strength), font=_font(size))
        return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


class ColourCast:
    """Lamp light, a wrong white balance, a phone's filter: gains per channel and a gamma."""

    def __call__(self, image: Image.Image) -> Image.Image:
        gamma = 2 ** uniform(-0.5, 0.5)
        ramp = (np.arange(256) / 255.0) ** gamma
        tables = [np.clip(ramp * uniform(0.75, 1.2) * 255, 0, 255) for _ in range(3)]
        return image.point([int(v) for table in tables for v in table])


class Rescale:
    """A thumbnail blown up again: the sharpness of a source must not become its label."""

    def __init__(self, min_px: int) -> None:
        self.min_px = min_px

    def __call__(self, image: Image.Image) -> Image.Image:
        side = min(image.size)
        small = int(uniform(min(self.min_px, side), side))
        filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX)
        return image.resize((small, small), filters[integer(3)]).resize(
            image.size, filters[integer(2)]
        )


def _some(
    chance: float, step: Callable[[Image.Image], Image.Image] | nn.Module
) -> Callable[[Image.Image], Image.Image]:
    applied: Callable[[Image.Image], Image.Image] = v2.RandomApply([_AsModule(step)], chance)
    return applied


class _AsModule(nn.Module):
    """torchvision's `RandomApply` accepts callables, but wants a module when it prints itself."""

    def __init__(self, step: Callable[[Image.Image], Image.Image] | nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, image: Image.Image) -> Image.Image:
        out: Image.Image = self.step(image)
        return out


def _words() -> str:
    return _WORDS[integer(len(_WORDS))]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, size))
