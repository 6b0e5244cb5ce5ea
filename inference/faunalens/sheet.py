"""Sheets of photos: where one picture is several, side by side.

Sellers put four photos into one to save uploads. The network sees each at a quarter of its area,
next to three others, and misses much of what it would find in each alone. The seams between photos
are straight, run from side to side and are sharp along all of their length, which edges of things
in a photo seldom are all at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faunalens.parts import Box
from faunalens.spec import ResizeRule

SEEN = ResizeRule(224)
"""How a picture is resized before its seams are looked for; pixels below are of that."""

_STEP = 18  # of 255 in any channel, from the pixel before to the one after: an edge
_SMALLEST = 0.2  # of the sheet's side, for a photo
_MOST = 9  # photos
_SHARES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4)  # of the sheet's side, where first seams usually are
_SHORTEST = 24  # pixels of a seam that say anything
_TOLERANCE = 2  # pixels between seams of two photos that are one line
# Pixels 5 to 14 to both sides of a seam: in a textured photo they are as full of edges as it is.
_AROUND = np.r_[np.full(10, 0.05), np.zeros(9), np.full(10, 0.05)]


@dataclass(frozen=True)
class _Need:
    """What a seam must show.

    Attributes:
        edges: Share of its length that is an edge.
        more: By how much that is above the mean of the lines around it.
        eighth: Share of each eighth of its length that is an edge.
    """

    edges: float
    more: float
    eighth: float


# Set on sheets and single photos of the research pictures (tests/benchmarks/sheets.py).
_FIRST = _Need(0.85, 0.6, 0.6)  # horizons and the edges of tables are nearly as straight
_EVEN = _Need(0.7, 0.5, 0.4)  # at one of the usual shares
_FURTHER = _Need(0.7, 0.45, 0.35)
_EXPECTED = _Need(0.35, 0.2, 0.0)  # where the sheet's other seams make one likely


@dataclass(frozen=True)
class _Search:
    """What is enough for a seam: `anywhere`, and at `places` across and down (pixels)."""

    anywhere: _Need
    places: tuple[set[int], set[int]]
    at_places: _Need


_Edges = npt.NDArray[np.bool_]
_Region = tuple[tuple[int, int], tuple[int, int]]
"""Start and stop across and down."""


def photos_of(image: npt.NDArray[np.uint8]) -> list[Box]:
    """The photos of a sheet, two to nine, line by line; none if the picture is a single photo.

    Args:
        image: `(S, S, 3)` uint8 RGB, the whole picture resized by `SEEN`.
    """
    side = len(image)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))  # ten times faster than interleaved
    edges = (_edges(planes), _edges(np.ascontiguousarray(planes.transpose(0, 2, 1))))
    even = {round(side * share) for share in _SHARES}
    search = _Search(_FIRST, (even, even), _EVEN)
    expected: tuple[set[int], set[int]] = (set(), set())
    done: list[_Region] = []
    todo: list[_Region] = [((0, side), (0, side))]
    while todo and len(done) + len(todo) < _MOST:
        region = todo.pop(0)
        seam = _clearest(edges, region, search, round(_SMALLEST * side))
        if seam is None:
            done.append(region)
            continue
        axis, at = seam
        # Sheets are even: a seam makes its mirror image likely, and one through the other middle.
        expected[axis].update((at, side - at))
        expected[1 - axis].add(side // 2)
        start, stop = region[axis]
        for half in ((start, at), (at + 1, stop)):
            todo.append((half, region[1]) if axis == 0 else (region[0], half))
        # What had no seam may have one now that others show where to expect it.
        todo, done = [*done, *todo], []
        search = _Search(_FURTHER, expected, _EXPECTED)
    found = [*done, *todo]
    if len(found) == 1:
        return []
    boxes = [(x[0] / side, y[0] / side, x[1] / side, y[1] / side) for x, y in found]
    line = min(bottom - top for _, top, _, bottom in boxes)
    return sorted(boxes, key=lambda box: (int(box[1] / line + 0.5), box[0]))


def _edges(planes: npt.NDArray[np.uint8]) -> _Edges:
    """`(3, S, S)` to `(S, S)`: where the pixels to the left and to the right differ."""
    before, after = planes[:, :, :-2], planes[:, :, 2:]
    step = np.maximum(before, after) - np.minimum(before, after)
    out = np.zeros(planes.shape[1:], bool)
    out[:, 1:-1] = np.maximum(np.maximum(step[0], step[1]), step[2]) > _STEP
    return out


def _clearest(
    edges: tuple[_Edges, _Edges], region: _Region, search: _Search, smallest: int
) -> tuple[int, int] | None:
    """Axis and position of the seam through a region that stands out most."""
    best = None
    for axis in (0, 1):
        (start, stop), along = region[axis], region[1 - axis]
        expected = [at - start for at in search.places[axis]]
        seam = _seam(edges[axis][slice(*along), start:stop], search, expected, smallest)
        if seam is not None and (best is None or seam[1] > best[1]):
            best = ((axis, start + seam[0]), seam[1])
    return None if best is None else best[0]


def _seam(
    edges: _Edges, search: _Search, expected: Iterable[int], smallest: int
) -> tuple[int, float] | None:
    """Position of a seam across `(n, m)` edges, and how much it stands out."""
    length, width = edges.shape
    if width < 2 * smallest or length < _SHORTEST:
        return None
    share = edges.mean(0)
    more = share - np.convolve(np.pad(share, len(_AROUND) // 2, "edge"), _AROUND, "valid")
    inside = slice(smallest, width - smallest)
    places = [(int(at), search.anywhere) for at in smallest + np.argsort(-more[inside])[:3]]
    for at in expected:
        near = slice(max(at - _TOLERANCE, smallest), min(at + _TOLERANCE + 1, width - smallest))
        if near.start < near.stop:
            places.append((near.start + int(more[near].argmax()), search.at_places))
    for at, least in places:
        if share[at] >= least.edges and more[at] >= least.more:
            eighths = np.array_split(edges[:, at], 8)
            if min(eighth.mean() for eighth in eighths) >= least.eighth:
                return at, float(more[at])
    return None
