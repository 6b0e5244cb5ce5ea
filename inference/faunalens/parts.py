"""Parts of a photo: where they are, their pixels, and their evidence in its place."""

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom of a part, as shares of the photo's sides."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def cut(pixels: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    """The pixels of a part: `(H, W, 3)` to `(h, w, 3)`, at least one pixel a side."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = (
        round(share * size) for share, size in zip(box, (width, height) * 2, strict=True)
    )
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def sampled(side_px: int, box: Box) -> int:
    """The side at which to decode a photo so that a part of it has `side_px` pixels a side."""
    left, top, right, bottom = box
    return round(side_px / max(min(right - left, bottom - top), 0.1))


def finer(evidence: Map) -> Map:
    """`(L, h, w)` to `(L, 2h, 2w)`, so that the evidence of a part has cells to go to."""
    return np.repeat(np.repeat(evidence, 2, 1), 2, 2)


def pasted(whole: Map, part: Map, box: Box) -> Map:
    """The evidence of a part in its place, over the lowest of the rest: it is what counted.

    Args:
        whole: `(h, w)` over the photo.
        part: `(h', w')` over the part.
        box: Where the part is.
    """
    out = np.full_like(whole, min(float(whole.min()), 0.0))
    left, top, right, bottom = box
    rows = (np.arange(whole.shape[0]) + 0.5) / whole.shape[0]
    columns = (np.arange(whole.shape[1]) + 0.5) / whole.shape[1]
    inside_y = np.flatnonzero((rows >= top) & (rows < bottom))
    inside_x = np.flatnonzero((columns >= left) & (columns < right))
    from_y = ((rows[inside_y] - top) / (bottom - top) * part.shape[0]).astype(int)
    from_x = ((columns[inside_x] - left) / (right - left) * part.shape[1]).astype(int)
    out[np.ix_(inside_y, inside_x)] = part[np.ix_(from_y, from_x)]
    return out
