"""Photos that are shown on a screen: inside an app, or photographed off it."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from faunalens_train.draw import chance, integer, uniform
from faunalens_train.lettering import font, words


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
            ImageDraw.Draw(screen).text((6, 2), words(), fill=ink, font=font(top - 4))
        return screen


class PhotoOfScreen:
    """A screen seen by another camera: pixel grid, glare, a cast, a rim, an angle, soft focus.

    All of it is drawn anew each time and none with the numbers that `edits.of_a_screen` tests.
    """

    def __call__(self, image: Image.Image) -> Image.Image:
        pixels = np.asarray(image, np.float32)
        height, width = pixels.shape[:2]
        y, x = np.mgrid[:height, :width].astype(np.float32)
        if chance(0.8):
            phase = 2 * np.pi * (x * uniform(0.02, 0.45) + y * uniform(-0.2, 0.2))
            shifts = uniform(0, 2.2) * np.arange(3, dtype=np.float32)
            wave = np.sin(phase[..., None] + shifts)
            pixels = pixels * (1 - uniform(0.02, 0.1) * (1 - wave))
        if chance(0.7):
            spread = uniform(0.15, 0.6) * np.array((width, height))
            centre = uniform(0, 1) * width, uniform(0, 1) * height
            spot = np.exp(
                -(((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2)
            )
            pixels = pixels + uniform(20, 110) * spot[..., None]
        pixels = pixels * np.array([uniform(0.85, 1.05) for _ in range(3)], np.float32)
        screen = np.clip(pixels, 0, 255).astype(np.uint8)
        rim, shade = round(uniform(0, 0.1) * max(height, width)), integer(60)
        screen = cv2.copyMakeBorder(
            screen, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(shade,) * 3
        )
        whole = np.array(((0, 0), (1, 0), (1, 1), (0, 1)), np.float32)
        inward = np.array(((1, 1), (-1, 1), (-1, -1), (1, -1)), np.float32)
        moved = whole + inward * np.array([[uniform(0, 0.08) for _ in "xy"] for _ in "1234"])
        desk = integer(232)
        turned = cv2.warpPerspective(
            screen,
            cv2.getPerspectiveTransform(
                whole * np.float32(screen.shape[1::-1]),
                np.float32(moved * np.array((width, height))),
            ),
            (width, height),
            borderValue=[desk + integer(24) for _ in range(3)],
        )
        soft = ImageFilter.GaussianBlur(uniform(0, 0.008) * max(width, height))
        return Image.fromarray(np.asarray(turned, np.uint8)).filter(soft)
