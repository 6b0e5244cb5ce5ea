"""Where in the photo the evidence lies: heat over the picture, and the strongest region."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from faunalens.spec import ResizeRule

# Opaque enough to see, clear enough to see through.
_STRENGTH = 0.55
# Red for strong, through orange, to clear: readable over grey museum backdrops and grass alike.
_WEAK_RGB = np.array([255, 200, 0], np.float32)
_STRONG_RGB = np.array([214, 20, 60], np.float32)


@dataclass(frozen=True)
class Box:
    """A rectangle in a photo, in pixels: left, top inclusive; right, bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def heat_map(
    evidence: npt.NDArray[np.float32], rule: ResizeRule, width: int, height: int
) -> npt.NDArray[np.float32]:
    """Stretch one label's evidence over the photo.

    Args:
        evidence: `(h, w)` class activation map, any range.
        rule: The resize rule, whose padding is cut away again.
        width, height: Of the photo, pixels.

    Returns:
        `(height, width)` float32 from 0 (none, or speaking against) to 1 (the strongest spot of
        this photo).
    """
    positive = np.maximum(evidence, 0.0).astype(np.float32)
    peak = float(positive.max())
    if peak > 0:
        positive /= peak
    field = Image.fromarray(positive)
    if rule.padding == "grey":
        across, down = evidence.shape[1], evidence.shape[0]
        longest = max(width, height)
        pad_x = (1 - width / longest) / 2 * across
        pad_y = (1 - height / longest) / 2 * down
        region = (pad_x, pad_y, across - pad_x, down - pad_y)
    else:
        region = None
    stretched = field.resize((width, height), Image.Resampling.BICUBIC, box=region)
    return np.asarray(stretched).clip(0.0, 1.0)


def overlay(pixels: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Draw heat over a photo.

    Args:
        pixels: `(H, W, 3)` uint8 RGB.
        heat: `(H, W)` from `heat_map`.

    Returns:
        `(H, W, 3)` uint8 RGB.
    """
    layer = heat_layer(heat).astype(np.float32)
    alpha: npt.NDArray[np.float32] = layer[..., 3:] * np.float32(1 / 255)
    mixed = pixels * (1 - alpha) + layer[..., :3] * alpha + 0.5
    return np.asarray(mixed, np.uint8)


def heat_layer(heat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Heat alone, to be laid over a photo.

    Args:
        heat: `(H, W)` from `heat_map`.

    Returns:
        `(H, W, 4)` uint8 RGBA.
    """
    share = heat[..., None]
    colour = _WEAK_RGB + (_STRONG_RGB - _WEAK_RGB) * share  # (H, W, 3)
    # Below a quarter of the peak the map is mostly noise: fade in from there.
    alpha = np.clip((share - 0.25) / 0.75, 0, 1) * _STRENGTH
    return np.concatenate([colour + 0.5, 255 * alpha + 0.5], axis=2).astype(np.uint8)


def strongest_region(heat: npt.NDArray[np.float32], level: float = 0.5) -> Box | None:
    """The box around the region that holds the strongest spot.

    The region is what stays connected to the peak at `level` of its height or more.

    Args:
        heat: `(H, W)` from `heat_map`.

    Returns:
        None if the map is empty.
    """
    if heat.max() <= 0:
        return None
    # On a coarse grid: the maps have 7 to 16 cells a side, so nothing is lost, and the flood
    # below stays small whatever the size of the photo.
    height, width = heat.shape
    cells = min(64, height), min(64, width)
    coarse = np.asarray(Image.fromarray(heat).resize((cells[1], cells[0]), Image.Resampling.BOX))
    inside = coarse >= level * coarse.max()
    seed = np.unravel_index(int(coarse.argmax()), coarse.shape)
    region = np.zeros_like(inside)
    region[seed] = True
    while True:  # grow by one cell in four directions until nothing is added
        grown = region.copy()
        grown[1:] |= region[:-1]
        grown[:-1] |= region[1:]
        grown[:, 1:] |= region[:, :-1]
        grown[:, :-1] |= region[:, 1:]
        grown &= inside
        if np.array_equal(grown, region):
            break
        region = grown
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    return Box(
        left=int(columns[0] * width / cells[1]),
        top=int(rows[0] * height / cells[0]),
        right=int(np.ceil((columns[-1] + 1) * width / cells[1])),
        bottom=int(np.ceil((rows[-1] + 1) * height / cells[0])),
    )
