"""What adverts do to photos. Works on the decoded photo, before `faunalens.preprocess`."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from torch import nn
from torchvision.transforms import InterpolationMode, v2

from faunalens_train.config import AugmentConfig
from faunalens_train.draw import chance, integer, uniform
from faunalens_train.lettering import font, words
from faunalens_train.screens import PhotoOfScreen, ScreenshotFrame

_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180)


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
            _some(config.turn_p, quarter_turn),
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
            _some(config.blur_p, OutOfFocus(config.blur_max)),
            _some(config.screen_p, PhotoOfScreen()),
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


def quarter_turn(image: Image.Image) -> Image.Image:
    """A phone held sideways whose file does not say so; seldom upside down."""
    return image.transpose(_TURNS[integer(2) if chance(0.8) else 2])


class OutOfFocus:
    """A Gaussian of up to `most` of the longest side."""

    def __init__(self, most: float) -> None:
        self.most = most

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(uniform(0.1, 1) * self.most * max(image.size)))


class TextOverlay:
    """A watermark, price tag or caption: words anywhere, sometimes on a bar, or one repeated."""

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        layer = Image.new("RGBA", image.size)
        draw = ImageDraw.Draw(layer)
        if chance(0.4):
            self._repeat(draw, width, height)
        else:
            self._scatter(draw, width, height)
        return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")

    @staticmethod
    def _scatter(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        """One to three words, each anywhere and in its own ink, sometimes on a bar."""
        for _ in range(1 + integer(3)):
            size = int(height * uniform(0.05, 0.16))
            at = (int(width * uniform(-0.1, 0.7)), int(height * uniform(0, 0.9)))
            ink = tuple(integer(256) for _ in range(3))
            strength = int(uniform(90, 255))
            if chance(0.25):
                bar = (at[0] - 4, at[1] - 2, at[0] + size * 6, at[1] + size + 4)
                draw.rectangle(bar, fill=(*(255 - c for c in ink), strength))
            draw.text(at, words(), fill=(*ink, strength), font=font(size))

    @staticmethod
    def _repeat(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        """One name again and again, half transparent, as image banks and sellers mark photos."""
        mark, face = words(), font(int(height * uniform(0.06, 0.14)))
        light = chance(0.7)
        ink = ((255 if light else 0,) * 3) + (int(uniform(70, 190)),)
        edge = ((0 if light else 255,) * 3) + (int(uniform(0, 130)),)
        rows, start = 2 + integer(4), uniform(-0.1, 0.3)
        for row in range(rows):
            at = (width * (start + uniform(-0.05, 0.05)), height * (row + uniform(0.1, 0.6)) / rows)
            draw.text(at, mark, font=face, fill=ink, stroke_width=1, stroke_fill=edge)


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
