"""Where the evidence lies."""

import numpy as np
import pytest
from conftest import noise

from faunalens.evidence import Box, heat_map, overlay, strongest_region
from faunalens.spec import ResizeRule

STRETCHED = ResizeRule(64)
PADDED = ResizeRule(64, padding="grey")


def test_heat_covers_the_photo_and_peaks_where_the_map_does() -> None:
    field = np.full((7, 7), -3, np.float32)
    field[1, 5] = 4
    heat = heat_map(field, STRETCHED, 700, 350)
    assert heat.shape == (350, 700)
    assert heat.min() >= 0
    assert heat.max() <= 1
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row // 50 == 1
    assert column // 100 == 5


def test_padding_is_cut_away() -> None:
    field = np.zeros((8, 8), np.float32)
    field[2, 0] = 1  # the photo of 2:1 fills rows 2 to 5
    heat = heat_map(field, PADDED, 800, 400)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row < 100
    assert column < 100


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([(0, 0)], Box(0, 0, 16, 16)),
        ([(1, 1), (1, 2)], Box(16, 16, 48, 32)),
        ([(0, 0), (3, 3)], Box(0, 0, 16, 16)),  # only what hangs together with the peak
    ],
)
def test_box(cells: list[tuple[int, int]], expected: Box) -> None:
    heat = np.zeros((64, 64), np.float32)
    for row, column in cells:
        heat[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = 1
    assert strongest_region(heat) == expected


def test_no_evidence_no_box() -> None:
    heat = heat_map(np.full((7, 7), -1, np.float32), STRETCHED, 30, 20)
    assert heat.max() == 0
    assert strongest_region(heat) is None


def test_overlay_leaves_the_rest_alone() -> None:
    pixels = noise(40, 30)
    heat = np.zeros((30, 40), np.float32)
    heat[:10, :10] = 1
    drawn = overlay(pixels, heat)
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn[10:], pixels[10:])
    assert drawn[:10, :10, 0].mean() > pixels[:10, :10, 0].mean()
