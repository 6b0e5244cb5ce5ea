"""Decoded photo to model input. The only resize in the project."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from faunalens.spec import ResizeRule

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
_GREY = 127  # becomes about 0 after the graph's x / 127.5 - 1: no edge for the network to see


def preprocess(pixels: npt.NDArray[np.uint8], rule: ResizeRule) -> npt.NDArray[np.uint8]:
    """Resize a photo by the model's rule.

    Scaling to floats is inside the model's graph, so there is nothing else to get wrong.

    Args:
        pixels: `(H, W, 3)` uint8 RGB, any size from 1 x 1.
        rule: From the model's metadata.

    Returns:
        `(S, S, 3)` uint8 RGB.

    Raises:
        ValueError: Wrong shape or dtype.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"expected (H, W, 3) uint8 RGB pixels, got {pixels.shape} {pixels.dtype}")
    image = Image.fromarray(pixels)
    side = rule.size_px
    if rule.padding == "none":
        return np.asarray(image.resize((side, side), _FILTERS[rule.filter]))
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = np.full((side, side, 3), _GREY, np.uint8)
    left, top = (side - inner[0]) // 2, (side - inner[1]) // 2
    square[top : top + inner[1], left : left + inner[0]] = np.asarray(
        image.resize(inner, _FILTERS[rule.filter])
    )
    return square
