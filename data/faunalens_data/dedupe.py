"""Near duplicates: copies of one picture, resized, saved again or mirrored, put into one group.

Two steps. A perceptual hash finds candidates cheaply; it sees little more than where a picture is
dark and light, so one vase on a grey backdrop hashes like another. A second look at the detail of
both pictures then tells copies from look-alikes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from faunalens.errors import MissingExtraError, PhotoError
from faunalens_data.pictures import each, open_picture
from faunalens_data.row import ManifestError, Row
from faunalens_data.table import write_table

# Measured on 14 kinds of copy of 500 research pictures; found among the candidates at distance 10,
# in brackets at distance 4: saved again at quality 40 100 % (99.8), half the size and quality 60
# 100 % (100), that and mirrored 100 % (99.6), grey 100 % (100), more contrast 100 % (99), a fifth
# brighter 99.4 % (93), 3 % cropped away 99.6 % (84), 8 % cropped away 80 % (15). On 5,855 pictures
# distance 4 gives 29 candidate pairs, 10 gives 410, 12 gives 1,281 and 14 gives 4,859 (of 17
# million, each seen plain and mirrored); hardly any of them is a copy, whatever the distance.
DEFAULT_DISTANCE = 10
"""Largest number of differing bits, of 64, between the hashes of candidates. It is always even:
half the bits of a hash are set."""

# Looked at on contact sheets, candidates in different groups were cowries on black, netsuke on
# grey, jackets on white. A 32 px colour thumbnail cannot tell: two cowries correlate at 0.985,
# above many true copies. The detail can: two pairs of twin cowries have 0.93 and 0.89, one
# football in three colours 0.87 to 0.85, then only different objects follow, from 0.847 down.
# Of the copies above, 0.85 keeps 98 to 100 %, but 96 % of the grey ones, 71 % of those cropped by
# 3 %, and hardly any cropped by 8 % or framed. To join two look-alikes costs next to nothing, while
# a copy that is missed leaks into the test, so the line lies just above the look-alikes.
MIN_DETAIL = 0.85
"""Lowest correlation of detail (see `detail`) between copies."""

_DETAIL_PX = 64
_LOCAL_PX = 8  # detail is what is left after taking away the mean of squares of this side
_FLAT = 1.5  # grey levels: a picture with less detail than this (a colour card) matches nothing
_DECODE_PX = 256  # large photos are decoded at a fraction of their size, not below this
_TILE = 2048  # hashes compared at a time: 16 MB of distances


@dataclass(frozen=True)
class Pair:
    """Two pictures found to be copies of one.

    Attributes:
        a: Index of the row that comes first.
        b: Index of the other.
        distance: Bits that differ between the hashes, 0 to 64.
        detail: Correlation of their detail, up to 1.
        mirrored: Whether `b` is turned left to right.
    """

    a: int
    b: int
    distance: int
    detail: float
    mirrored: bool


def find_pairs(
    rows: Sequence[Row],
    images: Path,
    *,
    distance: int = DEFAULT_DISTANCE,
    progress: bool = False,
) -> list[Pair]:
    """Find copies among pictures that are not in one group yet.

    A copy that is turned by 90 degrees, framed, or cropped by more than 3 % is not found.

    Raises:
        ManifestError: Pictures cannot be read; names the first.
        MissingExtraError: The extra `data` is not installed.
    """
    phash = _phash()

    def both_hashes(path: Path) -> npt.NDArray[np.uint8] | None:
        """Bits of the picture and of its mirror image, `(2, 64)`; None if it cannot be read."""
        try:
            pixels = open_picture(path, _DECODE_PX).pixels
        except PhotoError:
            return None
        views = (pixels, pixels[:, ::-1])
        bits = [phash(Image.fromarray(view)).hash.ravel() for view in views]
        return np.stack(bits).astype(np.uint8)

    paths = [images / row.file for row in rows]
    found = each(both_hashes, paths, progress="hashing" if progress else None)
    failed = [row.file for row, bits in zip(rows, found, strict=True) if bits is None]
    if failed:
        raise ManifestError(
            f"{len(failed)} of {len(rows)} pictures cannot be read, the first is {failed[0]};"
            " run `faunalens-data check`"
        )
    hashes = np.stack([bits for bits in found if bits is not None])  # (N, 2, 64)
    _, group = np.unique([row.group for row in rows], return_inverse=True)
    candidates = [
        pair
        for mirrored in (False, True)
        for pair in _near(hashes[:, 0], hashes[:, int(mirrored)], group, distance, mirrored)
    ]
    wanted = sorted({index for pair in candidates for index in (pair.a, pair.b)})
    looks = each(
        _look, [paths[index] for index in wanted], progress="comparing" if progress else None
    )
    look = dict(zip(wanted, looks, strict=True))
    pairs = []
    for pair in candidates:
        other = look[pair.b][:, ::-1] if pair.mirrored else look[pair.b]
        match = correlation(detail(look[pair.a]), detail(other))
        if rows[pair.a].sha256 == rows[pair.b].sha256:
            match = 1.0  # the same file, be it as flat as it may
        if match >= MIN_DETAIL:
            pairs.append(replace(pair, detail=match))
    # A symmetric picture is its own mirror: keep the better of the two finds.
    best: dict[tuple[int, int], Pair] = {}
    for pair in pairs:
        seen = best.get((pair.a, pair.b))
        if seen is None or pair.detail > seen.detail:
            best[pair.a, pair.b] = pair
    return sorted(best.values(), key=lambda pair: (pair.a, pair.b))


def join_groups(rows: Sequence[Row], pairs: Sequence[Pair]) -> list[Row]:
    """Put both pictures of every pair, and all of their groups, into one group.

    The joined group gets the name among theirs that sorts first.
    """
    parent = {row.group: row.group for row in rows}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in pairs:
        first, second = sorted((root(rows[pair.a].group), root(rows[pair.b].group)))
        parent[second] = first
    return [replace(row, group=root(row.group)) for row in rows]


def write_pairs(path: Path, rows: Sequence[Row], pairs: Sequence[Pair]) -> None:
    """Write the pairs with their files and (old) groups, for a look by eye."""
    write_table(
        path,
        ("file_a", "file_b", "group_a", "group_b", "distance", "detail", "mirrored"),
        (
            (
                rows[pair.a].file,
                rows[pair.b].file,
                rows[pair.a].group,
                rows[pair.b].group,
                pair.distance,
                f"{pair.detail:.3f}",
                "yes" if pair.mirrored else "no",
            )
            for pair in pairs
        ),
    )


def detail(look: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What a picture of `(64, 64, 3)` RGB has beyond its rough layout, `(64, 64, 3)`."""
    side, step = _DETAIL_PX // _LOCAL_PX, _LOCAL_PX
    squares = look.astype(np.float32).reshape(side, step, side, step, 3)
    fine: npt.NDArray[np.float32] = squares - squares.mean(axis=(1, 3), keepdims=True)
    return fine.reshape(look.shape)


def correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Correlation of two details, -1 to 1; 0 where one of them is flat."""
    energy_a, energy_b = float((a * a).mean()), float((b * b).mean())
    if min(energy_a, energy_b) < _FLAT**2:
        return 0.0
    return float((a * b).mean()) / math.sqrt(energy_a * energy_b)


def _phash() -> Callable[[Image.Image], Any]:
    try:
        from imagehash import phash
    except ImportError as error:
        raise MissingExtraError("data", "finding near duplicates (imagehash)") from error
    return phash  # type: ignore[no-any-return]


def _look(path: Path) -> npt.NDArray[np.uint8]:
    """The picture squeezed to `(64, 64, 3)` RGB."""
    pixels = open_picture(path, _DECODE_PX).pixels
    size = (_DETAIL_PX, _DETAIL_PX)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _near(
    bits: npt.NDArray[np.uint8],
    others: npt.NDArray[np.uint8],
    group: npt.NDArray[np.intp],
    distance: int,
    mirrored: bool,
) -> Iterator[Pair]:
    """Pairs a < b of different groups whose hashes, `(N, 64)` of 0 and 1, differ in few bits."""
    # With bits as -1 and 1 the inner product is 64 - 2 * distance: one matrix product per tile.
    first, second = bits.astype(np.float32) * 2 - 1, others.astype(np.float32) * 2 - 1
    for top in range(0, len(bits), _TILE):
        for left in range(top, len(bits), _TILE):
            apart = (64 - first[top : top + _TILE] @ second[left : left + _TILE].T) / 2
            for down, right in np.argwhere(apart <= distance):
                a, b = top + int(down), left + int(right)
                if a < b and group[a] != group[b]:
                    yield Pair(a, b, int(apart[down, right]), 0.0, mirrored)
