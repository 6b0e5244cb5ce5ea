"""Another backdrop behind an object, so that a museum's grey paper says nothing of the object.

Models of wildlife trade were seen to key on the cage and the backdrop (Kulkarni & Di Minin 2023,
arXiv:2205.11324); cut and paste is the usual cure (Dwibedi et al. 2017, arXiv:1708.01642).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter

from faunalens.decode import decode, read_file
from faunalens_data.row import Row
from faunalens_train.cutout import LastCut
from faunalens_train.draw import chance, integer, uniform

DONOR_KINDS = ("scene", "goods", "animal")
"""Kinds of negative whose pictures serve as backdrops."""

Pixels = npt.NDArray[np.uint8]


class Donors:
    """Which pictures may stand behind which.

    A row only gets backdrops that every split puts on its own side, so that no test picture is
    seen in training behind a training object.

    Args:
        rows: The manifest's rows.
        cells: Hash of a row to what all splits say of it; rows are on one side of every split if
            their cells are equal.
        images: Folder that the rows' files lie in.
    """

    def __init__(self, rows: Sequence[Row], cells: Mapping[str, object], images: Path) -> None:
        self._cells = cells
        self._images = images
        self._by_cell: dict[object, list[str]] = defaultdict(list)
        for row in rows:
            if row.negative_kind in DONOR_KINDS:
                self._by_cell[cells[row.sha256]].append(row.file)

    def draw(self, row: Row) -> Image.Image | None:
        """A picture to stand behind `row`, by torch's generator; None if it has no donors."""
        files = [name for name in self._by_cell[self._cells[row.sha256]] if name != row.file]
        if not files:
            return None
        chosen = files[integer(len(files))]
        return Image.fromarray(decode(read_file(self._images / chosen).data).pixels)


class BackdropSwap:
    """A photo of an object before a plain backdrop to one of it somewhere else.

    Args:
        donors: Where backdrops come from, beside plain and graded ones made here.
        size_px: Side of the square result.
        cut: What cuts objects out; of its own if None. Those who see the same photos share one.
    """

    def __init__(self, donors: Donors, size_px: int, cut: LastCut | None = None) -> None:
        self._donors = donors
        self._side = size_px
        self._cut = cut or LastCut()

    def __call__(self, pixels: Pixels, row: Row) -> Pixels | None:
        """The object of `(H, W, 3)` uint8 RGB pasted into `(S, S, 3)`; None if it has none."""
        mask = self._cut(pixels)
        if mask is None:
            return None
        cut = Image.fromarray(mask)
        box = cut.point(lambda value: 255 * (value > 127)).getbbox()
        if box is None:
            return None
        side = self._side
        object_, cut = Image.fromarray(pixels).crop(box), cut.crop(box)
        scale = uniform(0.35, 0.98) * side / max(object_.size)
        size = (max(8, int(object_.width * scale)), max(8, int(object_.height * scale)))
        object_ = object_.resize(size, Image.Resampling.BICUBIC)
        # A soft edge, or the net learns to see scissors.
        cut = cut.resize(size, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(1))
        at = (integer(side - size[0] + 1), integer(side - size[1] + 1))
        scene = self._backdrop(row)
        if chance(0.5):
            _cast_shadow(scene, cut, at)
        scene.paste(object_, at, cut)
        return np.asarray(scene)

    def _backdrop(self, row: Row) -> Image.Image:
        donor = None if chance(0.4) else self._donors.draw(row)
        if donor is None:
            return graded(self._side)
        share = uniform(0.5, 1)
        width, height = max(1, int(donor.width * share)), max(1, int(donor.height * share))
        left, top = integer(donor.width - width + 1), integer(donor.height - height + 1)
        donor = donor.crop((left, top, left + width, top + height)).resize(
            (self._side, self._side), Image.Resampling.BICUBIC
        )
        return donor.filter(ImageFilter.GaussianBlur(uniform(0.5, 4))) if chance(0.4) else donor


def graded(side: int) -> Image.Image:
    """A backdrop that fades from one colour (often a grey) to another, with some grain."""
    ends = torch.rand(2, 3) * 255
    if chance(0.6):
        ends = torch.rand(2, 1) * 255 + torch.rand(2, 3) * 24 - 12
    angle = uniform(0, 2 * np.pi)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    ramp = np.cos(angle) * x + np.sin(angle) * y
    ramp = (ramp - ramp.min()) / (ramp.max() - ramp.min())
    first, last = ends.numpy()
    grain = torch.randn(side, side, 1).numpy() * uniform(0, 6)
    return Image.fromarray(
        np.clip(first + (last - first) * ramp[..., None] + grain, 0, 255).astype(np.uint8)
    )


def _cast_shadow(scene: Image.Image, cut: Image.Image, at: tuple[int, int]) -> None:
    strength = uniform(0.3, 0.7)
    shadow = Image.new("L", scene.size)
    offset = (at[0] + integer(17) - 8, at[1] + integer(9))
    shadow.paste(cut.point(lambda value: int(value * strength)), offset)
    shadow = shadow.filter(ImageFilter.GaussianBlur(uniform(2, 8)))
    scene.paste(Image.new("RGB", scene.size), (0, 0), shadow)
