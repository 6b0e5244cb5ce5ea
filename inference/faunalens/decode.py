"""Photo bytes to RGB pixels: EXIF orientation, every colour mode, limits. The only decoder here.

Training, export, the batch runner and the app all come through `decode`, so that no two of them
can see different pixels.
"""

import hashlib
import io
import os
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from faunalens.errors import FailureKind, PhotoError

MAX_BYTES = 200 * 1024 * 1024
"""Largest file read. A 100-megapixel camera JPEG stays under 60 MB."""

MAX_PIXELS = 150_000_000
"""Largest width x height decoded: above the biggest phone sensors (200 Mpx bins to 50), and about
450 MB of RGB, which a worker can still hold."""

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
    | {".heic", ".heif"}
)
"""File names that a folder scan takes for photos (lower case)."""

# Decoders that a stranger's file may reach. Pillow knows some 40 more (PSD, FITS, EPS, which starts
# Ghostscript ...); none occurs in adverts, and each is a way in. JPEG stands for MPO too.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_DAMAGE = (
    OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, struct.error,
    RuntimeError,  # what Pillow's AVIF decoder raises
)  # fmt: skip
_EXIF_KEPT = (
    ExifTags.Base.DateTimeOriginal,
    ExifTags.Base.OffsetTimeOriginal,
    ExifTags.Base.DateTime,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.Base.ImageDescription,
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: `(H, W, 3)` uint8 RGB, upright. May be smaller than the file says (see `decode`).
        width: Width in pixels of the photo as stored, after EXIF orientation.
        height: Height in pixels, likewise.
    """

    pixels: npt.NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True)
class FileBytes:
    """A file as read: its content and its SHA-256 (hex)."""

    data: bytes
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Content that is in memory already."""
        return cls(data, hashlib.sha256(data).hexdigest())


def read_file(path: str | os.PathLike[str]) -> FileBytes:
    """Read a photo file whole.

    Raises:
        PhotoError: `missing`, `denied`, `too_large` or (a folder, a device) `unsupported`.
    """
    name = Path(path)
    try:
        if name.exists() and not name.is_file():
            raise PhotoError(
                FailureKind.UNSUPPORTED, "expected a photo file, found a folder or a device"
            )
        with name.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > MAX_BYTES:
                raise PhotoError(
                    FailureKind.TOO_LARGE,
                    f"file has {size:,} bytes, the limit is {MAX_BYTES:,}; save it smaller",
                )
            data = handle.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        broken = name.is_symlink()
        raise PhotoError(
            FailureKind.MISSING,
            "link points to a file that does not exist" if broken else "no such file",
        ) from error
    except PermissionError as error:
        raise PhotoError(FailureKind.DENIED, "no permission to read this file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise PhotoError(FailureKind.INTERNAL, f"could not be read: {error}") from error
    if len(data) > MAX_BYTES:  # a file that grew, or a pipe that reported size 0
        raise PhotoError(FailureKind.TOO_LARGE, f"file is longer than {MAX_BYTES:,} bytes")
    return FileBytes.of(data)


def decode(data: bytes, *, at_least_px: int | None = None) -> Photo:
    """Decode photo bytes to upright RGB.

    Transparent pixels become white, 16-bit samples lose their low byte, CMYK is converted without
    a colour profile, and of an animation the first frame counts.

    Args:
        data: The whole file.
        at_least_px: If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 scale (libjpeg's DCT
            scaling) as long as both sides stay at least this long: many times faster for camera
            photos.

    Raises:
        PhotoError: `not_an_image`, `truncated`, `too_large` or `unsupported`.
    """
    if not data:
        raise PhotoError(FailureKind.NOT_AN_IMAGE, "the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd EXIF blocks and of sizes over its own limit; ours is below.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise PhotoError(
                        FailureKind.TOO_LARGE,
                        f"photo has more than {MAX_PIXELS:,} pixels ({width} x {height}), which is "
                        "the limit; save it smaller",
                    )
                # simplejpeg 1.9 gives the same pixels, in 1.0 ms instead of 1.3 (640 x 480) and 26
                # instead of 29 (4000 x 3000): at most 8 % of what a photo costs with the network,
                # too little for a second decoder with faults of its own.
                if at_least_px is not None:
                    image.draft(None, (at_least_px, at_least_px))
                image.load()
                if _turned(image):
                    width, height = height, width
                # In place, and converted only if need be: each copy costs some 3 % of a scan.
                ImageOps.exif_transpose(image, in_place=True)
                pixels = np.asarray(_rgb(image))
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(
            FailureKind.TOO_LARGE,
            f"photo has more than {MAX_PIXELS:,} pixels, which is the limit; save it smaller",
        ) from error
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except _DAMAGE as error:
        # Pillow's decoders raise all of these on damaged files; which one depends on where the
        # damage lies.
        raise PhotoError(FailureKind.TRUNCATED, f"the photo is damaged: {error}") from error
    except MemoryError as error:
        raise PhotoError(FailureKind.TOO_LARGE, "not enough memory to decode it") from error
    return Photo(pixels, width, height)


def exif_facts(data: bytes) -> dict[str, str]:
    """What a photo's EXIF says of when, where and with what it was taken, by EXIF tag name.

    `GPSLatitude` and `GPSLongitude` are decimal degrees, south and west negative. Nothing that
    cannot be read is an error: the result is empty then.
    """
    facts: dict[str, str] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                exif = image.getexif()
                values = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
                place = exif.get_ifd(ExifTags.IFD.GPSInfo)
        for tag in _EXIF_KEPT:
            if tag in values:
                facts[tag.name] = str(values[tag]).strip(" \0")[:200]
        for name, plus, degrees, half in (("GPSLatitude", "N", 2, 1), ("GPSLongitude", "E", 4, 3)):
            if degrees in place:
                d, m, s = (float(part) for part in place[degrees])
                sign = 1 if place.get(half, plus) == plus else -1
                facts[name] = f"{sign * (d + m / 60 + s / 3600):.6f}"
    except Exception:  # damaged EXIF raises as many kinds of errors as there are damages
        return facts
    return facts


def _turned(image: Image.Image) -> bool:
    """Whether EXIF orientation swaps width and height (values 5 to 8)."""
    try:
        return image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except Exception:  # damaged EXIF: Pillow then leaves the photo as it is
        return False


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16- and 32-bit grey at 255 when converting: a white picture.
        grey = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip(grey >> 8, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise PhotoError(
            FailureKind.UNSUPPORTED, "floating-point pixels are not a photo; save it as JPEG"
        )
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _unidentified(data: bytes) -> PhotoError:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return PhotoError(FailureKind.UNSUPPORTED, "HEIC is not supported; save it as JPEG")
    if data[:3] == b"\xff\xd8\xff" or data[:8] == b"\x89PNG\r\n\x1a\n":
        return PhotoError(FailureKind.TRUNCATED, "the photo is damaged: its header is cut short")
    return PhotoError(
        FailureKind.NOT_AN_IMAGE, "not a photo this program knows (JPEG, PNG, WebP, GIF, ...)"
    )
