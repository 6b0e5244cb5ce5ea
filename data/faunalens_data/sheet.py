"""A sheet of sample pictures per label, for the eyes of whoever keeps the data set.

The pictures on it are those of the data set: it has their rights, and must not be published.
"""

import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from faunalens.errors import PhotoError
from faunalens_data.counts import stratum_names
from faunalens_data.files import write_bytes
from faunalens_data.pictures import each, open_picture
from faunalens_data.row import ManifestError, Row

CONTACT_SHEET = "contact_sheet.jpg"
"""Name of the sheet beside the card."""

PER_STRATUM = 8
"""Samples of each label and negative kind."""

_TILE_PX = 128
_TEXT_PX = 16


def samples(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Up to `PER_STRATUM` rows of each label and negative kind, from as many sources as possible.

    The choice depends on the hashes of the pictures only.
    """
    members: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.sha256):
        for name in row.strata:
            members[name].append(row)
    chosen = {}
    for name in stratum_names(rows):
        seen: Counter[str] = Counter()
        rounds = []
        for row in members[name]:
            rounds.append((seen[row.source], row.sha256, row))
            seen[row.source] += 1
        if rounds:
            chosen[name] = [row for _, _, row in sorted(rounds)[:PER_STRATUM]]
    return chosen


def contact_sheet(rows: Sequence[Row], images: Path) -> Image.Image:
    """Draw the sheet: a heading and one line of samples for each label and negative kind.

    Raises:
        ManifestError: A sample cannot be read.
    """
    chosen = samples(rows)
    height = _TILE_PX + _TEXT_PX
    sheet = Image.new("RGB", (PER_STRATUM * _TILE_PX, height * len(chosen) + _TEXT_PX), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((2, 2), "NOT FOR PUBLICATION: pictures of others", fill="red")

    def tile(row: Row) -> Image.Image:
        try:
            pixels = open_picture(images / row.file, _TILE_PX).pixels
        except PhotoError as error:
            raise ManifestError(f"{row.file}: {error}; run `faunalens-data check`") from error
        return ImageOps.contain(Image.fromarray(pixels), (_TILE_PX, _TILE_PX))

    for line, (name, members) in enumerate(chosen.items()):
        top = _TEXT_PX + line * height
        draw.text((2, top + 2), name, fill="black")
        for place, picture in enumerate(each(tile, members)):
            sheet.paste(picture, (place * _TILE_PX, top + _TEXT_PX))
    return sheet


def write_contact_sheet(path: Path, rows: Sequence[Row], images: Path) -> None:
    """Draw the sheet and write it as JPEG; errors as in `contact_sheet` and `write_bytes`."""
    buffer = io.BytesIO()
    contact_sheet(rows, images).save(buffer, "JPEG", quality=85)
    write_bytes(path, buffer.getvalue())
