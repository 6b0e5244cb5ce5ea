"""Makes hostile photo files: valid ones of every format, and what can be done to them.

    python tests/hostile.py --minutes 60

draws files with hypothesis and decodes them, a fork at a time, until the time is over. Every file
must give a photo or a PhotoError; exit code 1, and the seed, if one does not.
"""

import argparse
import io
import os
import random
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from PIL import Image

from faunalens.decode import decode
from faunalens.errors import PhotoError

_EXAMPLES = 200  # of a fork


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def valid() -> dict[str, bytes]:
    """Small photos of every format and of the features that decoders trip over."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 4), np.uint8)
    rgb = Image.fromarray(noise[..., :3])
    rgba = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "text"
    frames = {"save_all": True, "append_images": [rgb.transpose(Image.Transpose.ROTATE_180)]}
    return {
        "jpeg": encoded(rgb, "JPEG", exif=exif),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True),
        "jpeg cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "jpeg 4:2:0 optimised": encoded(rgb, "JPEG", subsampling=2, optimize=True),
        "mpo": encoded(rgb, "MPO", **frames),
        "png": encoded(rgba, "PNG"),
        "png palette": encoded(rgb.quantize(16), "PNG", transparency=3),
        "png 16 bit": encoded(Image.fromarray(noise[..., 0].astype(np.uint16) * 257), "PNG"),
        "png animated": encoded(rgb, "PNG", **frames),
        "gif": encoded(rgb.quantize(32), "GIF", **frames),
        "webp": encoded(rgba, "WEBP"),
        "webp lossless": encoded(rgba, "WEBP", lossless=True, exif=exif),
        "webp animated": encoded(rgb, "WEBP", **frames),
        "bmp": encoded(rgb, "BMP"),
        "tiff lzw": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encoded(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": encoded(rgb, "TIFF", compression="jpeg"),
        "tiff fax": encoded(rgb.convert("1"), "TIFF", compression="group4"),
        "avif": encoded(rgb, "AVIF"),
    }


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 2) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", pixels)


def tiff(*tags: tuple[int, int, int, int], following: int = 0) -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    )


def built() -> Iterator[tuple[str, bytes]]:
    """Files that no damage leads to by chance."""
    jpeg = valid()["jpeg"]
    bomb = zlib.compress(b"\0" * 50_000_000, 9)
    yield "png of 2^31 by 2^31", png(2**31 - 1, 2**31 - 1)
    yield "png of no width", png(0, 5)
    yield "png with a bomb of text", png(5, 5, chunk(b"zTXt", b"k\0\0" + bomb))
    yield "png with a bomb of a profile", png(5, 5, chunk(b"iCCP", b"k\0\0" + bomb))
    yield "png with 1000 texts", png(5, 5, *[chunk(b"tEXt", b"a\0" + b"b" * 5000)] * 1000)
    yield "png of depth 3", png(5, 5, depth=3)
    yield "png of colour 9", png(5, 5, colour=9)
    yield "png without pixels", png(5, 5)[:33] + chunk(b"IEND", b"")
    yield "png with a palette of one", png(5, 5, chunk(b"PLTE", b"abc"), colour=3)
    yield "gif of 65535 by 65535", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0"
    yield "gif without an image", b"GIF89a\x05\0\x05\0\0\0\0;"
    yield (
        "bmp of a negative height",
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 5, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0),
    )
    yield (
        "bmp of 2^31 colours",
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 5, 5, 1, 8, 0, 0, 0, 0, 2**31 - 1, 0),
    )
    yield "tiff whose directory follows itself", tiff((256, 3, 1, 5), (257, 3, 1, 5), following=8)
    yield "tiff of 4 billion strips", tiff(
        (256, 4, 1, 2**31 - 1), (257, 4, 1, 1), (258, 3, 1, 8), (262, 3, 1, 1),
        (273, 4, 2**32 - 1, 8), (278, 4, 1, 1), (279, 4, 2**32 - 1, 8),
    )  # fmt: skip
    yield "tiff of 65535 samples", tiff((256, 3, 1, 5), (257, 3, 1, 5), (277, 3, 1, 65535))
    yield "jpeg of 65535 by 65535", jpeg.replace(b"\xff\xc0\0\x11\x08\0\x28\0\x38",
                                                 b"\xff\xc0\0\x11\x08\xff\xff\xff\xff")  # fmt: skip
    yield "jpeg of scans without end", jpeg[:-2] + jpeg[jpeg.index(b"\xff\xda") : -2] * 300
    yield "jpeg whose EXIF points at itself", jpeg.replace(b"II*\0\x08\0\0\0", b"II*\0\0\0\0\0")
    yield "jpeg after a megabyte of markers", jpeg[:2] + b"\xff\xfe\xff\xff" + b"c" * 65533 + jpeg
    yield "zip behind a jpeg", jpeg + b"PK\x03\x04" + b"\0" * 100
    yield (
        "webp that is shorter than it says",
        b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0" + b"\xff" * 10,
    )
    avif = valid()["avif"]
    yield "avif of damaged pixels", avif[:-200] + bytes(255 - b for b in avif[-200:])
    place = avif.index(b"pitm") + 8
    yield "avif of another item", avif[:place] + b"\0\x63" + avif[place + 2 :]
    yield "avif that is nothing but a brand", b"\0\0\0\x20ftypavif" + b"\0" * 16
    yield from {
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "html": b"<!doctype html><title>404</title>",
        "xpm": b'/* XPM */\nstatic char *a[] = {"9999999 9999999 1 1"};',
        "ppm": b"P6\n99999999 99999999\n255\n",
        "psd": b"8BPS\0\x01" + b"\0" * 6 + b"\0\x03\0\0\xff\xff\0\0\xff\xff\0\x08\0\x03",
        "elf": b"\x7fELF" + bytes(60),
    }.items()


def _cut(data: bytes, at: int, _: int, __: bytes) -> bytes:
    return data[:at]


def _overwrite(data: bytes, at: int, _: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at + len(piece) :]


def _insert(data: bytes, at: int, _: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at:]


def _remove(data: bytes, at: int, size: int, _: bytes) -> bytes:
    return data[:at] + data[at + size :]


def _repeat(data: bytes, at: int, size: int, _: bytes) -> bytes:
    return data[:at] + data[at : at + size] * 8 + data[at:]


def _number(data: bytes, at: int, size: int, _: bytes) -> bytes:
    """A 16- or 32-bit number at the edge of its range: lengths and sizes are such."""
    edges = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
    value, order = edges[size % 8], "<>"[size // 8 % 2]
    piece = struct.pack(
        order + ("I" if size % 3 else "H"), value & (2**32 - 1 if size % 3 else 65535)
    )
    return data[:at] + piece + data[at + len(piece) :]


EDITS: tuple[Callable[[bytes, int, int, bytes], bytes], ...] = (
    _cut, _overwrite, _insert, _remove, _repeat, _number,
)  # fmt: skip


@st.composite
def hostile_files(draw: st.DrawFn) -> bytes:
    """A valid photo with up to six edits, mostly near its start, where headers are."""
    data = draw(st.sampled_from(_VALID))
    for _ in range(draw(st.integers(1, 6))):
        reach = draw(st.sampled_from((64, 256, 1024, 1 << 20)))
        at = draw(st.integers(0, min(reach, max(len(data) - 1, 0))))
        size = draw(st.integers(0, 64))
        data = draw(st.sampled_from(EDITS))(data, at, size, draw(st.binary(max_size=8)))
    return data


_VALID = list(valid().values())


def outcome(data: bytes) -> str:
    """`photo`, or the kind of its PhotoError; any other exception is a fault of decode."""
    try:
        photo = decode(data, at_least_px=448)
    except PhotoError as error:
        return str(error.kind)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.ndim == 3
    assert photo.pixels.shape[2] == 3
    return "photo"


def fuzz(number: int) -> Counter[str]:
    """Draw and decode `_EXAMPLES` files."""
    found: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=_EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(hostile_files())
    def one(data: bytes) -> None:
        found[outcome(data)] += 1

    one()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(2**30))
    options = parser.parse_args()
    until, number = time.monotonic() + 60 * options.minutes, options.seed
    total: Counter[str] = Counter()
    faults = 0
    while time.monotonic() < until:
        number += 1
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(reader)
            code = 1
            try:
                os.write(writer, repr(dict(fuzz(number))).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader) as handle:
            told = handle.read()
        if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            faults += 1
            print(f"seed {number}: exit code {code}", flush=True)
        for word in told.strip("{}").split(", ") if told else ():
            name, _, count = word.partition(": ")
            total[name.strip("'")] += int(count)
        if number % 20 == 0:
            print(f"{total.total()} files, {faults} faults: {dict(total)}", flush=True)
    print(f"{total.total()} files, {faults} faults: {dict(total)}")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
