"""A seller's collage: the object in one of two or four photos of a sheet."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from faunalens_data.row import Row
from faunalens_train.backdrop import Donors
from faunalens_train.draw import chance, integer, uniform

_GRIDS = ((2, 2), (2, 2), (2, 1), (1, 2))
_ITSELF = 0.2  # of the neighbours show the same object, closer


class Collage:
    """A photo to a sheet of photos with it in one place.

    The others show nothing protected, whatever `row` is, so a sheet says no more of a label than
    its photo did.

    Args:
        donors: Where the other photos come from.
        size_px: Side of the square result.
    """

    def __init__(self, donors: Donors, size_px: int) -> None:
        self._donors = donors
        self._side = size_px

    def __call__(self, pixels: npt.NDArray[np.uint8], row: Row) -> npt.NDArray[np.uint8] | None:
        """`(H, W, 3)` uint8 RGB to `(S, S, 3)`; None if `row` has no donors."""
        columns, rows = _GRIDS[integer(len(_GRIDS))]
        gap = integer(1 + self._side // 40)
        cell = ((self._side - gap) // columns, (self._side - gap) // rows)
        shade = (255, 255, 240, 0)[integer(4)]
        sheet = Image.new("RGB", (self._side, self._side), (shade,) * 3)
        photo, place = Image.fromarray(pixels), integer(columns * rows)
        for index in range(columns * rows):
            shown: Image.Image | None = photo
            if index != place:
                shown = _closer(photo) if chance(_ITSELF) else self._donors.draw(row)
            if shown is None:
                return None
            fitted = ImageOps.fit(shown, cell, Image.Resampling.BICUBIC)
            sheet.paste(
                fitted, (index % columns * (cell[0] + gap), index // columns * (cell[1] + gap))
            )
        return np.asarray(sheet)


def _closer(photo: Image.Image) -> Image.Image:
    share = uniform(0.4, 0.8)
    width, height = max(1, int(photo.width * share)), max(1, int(photo.height * share))
    left, top = integer(photo.width - width + 1), integer(photo.height - height + 1)
    return photo.crop((left, top, left + width, top + height))
