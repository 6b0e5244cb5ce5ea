"""An object cut out of the plain backdrop it stands before, as in museums and in shops."""

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]

_SIDE = 256  # the cut is made on a picture this large: sharp enough to paste, and quick
_RIM = 0.04  # share of the shorter side taken as rim
_PLAIN_SHARE = 0.6  # of the rim that must follow one smooth colour
_PLAIN_SPREAD = 7.0  # typical distance of those from it, in CIELAB units as OpenCV scales them
_AREA = (0.02, 0.85)  # of the picture that an object may fill
_ON_RIM = 0.35  # of the rim that it may cover
_SPECK = 0.004  # of the picture; smaller pieces are dust


def cut_out(pixels: npt.NDArray[np.uint8]) -> Mask | None:
    """Where the object is.

    The backdrop's colour is taken to change smoothly: a quadratic in x and y, fitted to the rim.
    What is far from it starts GrabCut (Rother, Kolmogorov, Blake 2004, as in OpenCV). A cast
    shadow may stay with the object.

    Args:
        pixels: `(H, W, 3)` uint8 RGB.

    Returns:
        `(H, W)` uint8, 255 on the object and 0 elsewhere; None if the backdrop is not plain or
        no object stands out.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    rim = _rim(small.shape[:2])
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    far, plain, reach = _distance(lab, rim)
    if plain.sum() < _PLAIN_SHARE * rim.sum():
        return None
    object_ = _grab(small, far, plain, reach)
    if not _AREA[0] < object_.mean() < _AREA[1] or object_[rim].mean() > _ON_RIM:
        return None
    mask = cv2.resize(object_ * 255, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(mask, np.uint8)


class LastCut:
    """`cut_out` that remembers the last photo: its many views are made one after the other.

    GrabCut is half of the time that a view takes.
    """

    def __init__(self) -> None:
        self._last: tuple[npt.NDArray[np.uint8], Mask | None] | None = None

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Mask | None:
        """See `cut_out`; the same array, not one that is equal, is cut once."""
        if self._last is None or self._last[0] is not pixels:
            self._last = (pixels, cut_out(pixels))
        return self._last[1]


def _rim(shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    wide = max(3, round(_RIM * min(shape)))
    rim = np.ones(shape, np.bool_)
    rim[wide:-wide, wide:-wide] = False
    return rim


def _distance(
    lab: npt.NDArray[np.float32], rim: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], float]:
    """Each pixel's distance from the backdrop, the rim pixels that belong to it, their reach."""
    height, width = rim.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1)
    plain = rim.copy()
    for _ in range(4):  # refitted without what turned out to be the object
        fitted = np.linalg.lstsq(terms[plain], lab[plain], rcond=None)[0]
        far = np.linalg.norm(lab - terms @ fitted, axis=-1).astype(np.float32)
        spread = float(np.median(far[plain]))
        plain = rim & (far < max(6.0, 2.5 * spread))
        if plain.sum() < 60 or spread > _PLAIN_SPREAD:
            return far, np.zeros_like(rim), 0.0
    return far, plain, max(12.0, 4 * float(np.median(far[plain])))


def _grab(
    small: npt.NDArray[np.uint8],
    far: npt.NDArray[np.float32],
    plain: npt.NDArray[np.bool_],
    reach: float,
) -> npt.NDArray[np.uint8]:
    """`(h, w)` uint8, 1 on the object; all 0 if nothing is far enough from the backdrop."""
    trimap = np.full(far.shape, cv2.GC_PR_BGD, np.uint8)
    trimap[far > reach] = cv2.GC_PR_FGD
    trimap[far > 2.5 * reach] = cv2.GC_FGD
    trimap[plain] = cv2.GC_BGD
    if not np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
        return np.zeros(far.shape, np.uint8)
    try:
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        cv2.setRNGSeed(0)  # GrabCut starts from k-means; the same photo must give the same cut
        cv2.grabCut(
            bgr, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK
        )
    except cv2.error:  # fewer pixels on one side than GrabCut has mixture components
        return np.zeros(far.shape, np.uint8)
    object_ = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    object_ = cv2.morphologyEx(object_, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    object_ = cv2.morphologyEx(object_, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(object_)
    kept = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > _SPECK * object_.size]
    return np.isin(pieces, kept).astype(np.uint8)
