"""Every kind of file that a scraper or an officer may bring."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, plain
from PIL import Image

from faunalens.decode import FileBytes, decode, read_file
from faunalens.errors import FailureKind, PhotoError


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


def heic() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0mif1heic" + b"\0" * 100


RED = (200, 30, 40)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda: encoded(plain(RED), "PNG"), RED, id="png"),
        pytest.param(lambda: encoded(plain(RED), "JPEG", quality=95), RED, id="jpeg"),
        pytest.param(lambda: encoded(plain(RED), "WEBP", lossless=True), RED, id="webp"),
        pytest.param(lambda: encoded(plain(RED), "BMP"), RED, id="bmp"),
        pytest.param(lambda: encoded(plain(RED), "TIFF"), RED, id="tiff"),
        pytest.param(
            lambda: encoded(plain(RED), "JPEG", quality=95, progressive=True), RED, id="progressive"
        ),
        pytest.param(
            lambda: encoded(Image.new("CMYK", (64, 48), (0, 255, 255, 0)), "JPEG", quality=95),
            (255, 0, 0),
            id="cmyk",
        ),
        pytest.param(lambda: encoded(Image.new("L", (64, 48), 90), "JPEG"), (90,) * 3, id="grey"),
        pytest.param(
            lambda: encoded(Image.fromarray(np.full((48, 64), 200 << 8, np.uint16)), "PNG"),
            (200,) * 3,
            id="16-bit grey png",
        ),
        pytest.param(lambda: encoded(Image.new("1", (64, 48), 1), "PNG"), (255,) * 3, id="1-bit"),
        pytest.param(
            lambda: encoded(Image.new("RGBA", (64, 48), (0, 0, 0, 0)), "PNG"),
            (255,) * 3,
            id="transparent on white",
        ),
        pytest.param(
            lambda: encoded(Image.new("LA", (64, 48), (100, 255)), "PNG"),
            (100,) * 3,
            id="grey+alpha",
        ),
        pytest.param(
            lambda: encoded(plain(RED).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
            RED,
            id="palette",
        ),
        pytest.param(
            lambda: encoded(
                plain(RED), "GIF", save_all=True, append_images=[plain((0, 0, 255))], duration=50
            ),
            RED,
            id="animated gif, first frame",
        ),
        pytest.param(
            lambda: encoded(
                plain(RED), "WEBP", save_all=True, lossless=True, append_images=[plain((0, 0, 255))]
            ),
            RED,
            id="animated webp, first frame",
        ),
        pytest.param(
            lambda: encoded(plain(RED), "JPEG", quality=95) + b"trailing rubbish", RED, id="trailer"
        ),
    ],
)
def test_reads(make: Callable[[], bytes], expected: tuple[int, int, int]) -> None:
    photo = decode(make())
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.shape == (48, 64, 3)
    assert (photo.width, photo.height) == (64, 48)
    assert np.abs(photo.pixels.reshape(-1, 3).mean(0) - expected).max() < 4


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: b"", FailureKind.NOT_AN_IMAGE, "empty"),
        (lambda: b"not a photo, but a text\n" * 50, FailureKind.NOT_AN_IMAGE, "JPEG, PNG"),
        (
            lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            FailureKind.NOT_AN_IMAGE,
            "not a photo",
        ),
        (
            lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9",
            FailureKind.NOT_AN_IMAGE,
            "not a photo",
        ),
        (heic, FailureKind.UNSUPPORTED, "HEIC"),
        (lambda: png_header(20_000, 20_000), FailureKind.TOO_LARGE, "limit; save it smaller"),
        (lambda: png_header(13_000, 12_000), FailureKind.TOO_LARGE, "13000 x 12000"),
        (lambda: png_header(60_000, 60_000), FailureKind.TOO_LARGE, "limit; save it smaller"),
        (lambda: png_header(500, 500), FailureKind.TRUNCATED, "damaged"),
        (
            lambda: encoded(Image.fromarray(noise(300, 200)), "JPEG")[:9000],
            FailureKind.TRUNCATED,
            "damaged",
        ),
        (
            lambda: encoded(Image.fromarray(noise(300, 200)), "PNG")[:9000],
            FailureKind.TRUNCATED,
            "damaged",
        ),
        (lambda: encoded(plain(RED), "JPEG")[:30], FailureKind.TRUNCATED, "damaged"),
        (
            lambda: encoded(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"),
            FailureKind.UNSUPPORTED,
            "floating-point",
        ),
    ],
)
def test_refuses(make: Callable[[], bytes], kind: FailureKind, message: str) -> None:
    with pytest.raises(PhotoError, match=message) as caught:
        decode(make())
    assert caught.value.kind == kind


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = plain((0, 0, 0), 64, 48)
    upright.paste((255, 255, 255), (0, 0, 16, 16))  # white top left corner
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode(encoded(stored, "PNG", exif=exif.tobytes()))
    assert (photo.width, photo.height) == (64, 48)
    assert photo.pixels.shape == (48, 64, 3)
    assert photo.pixels[4, 4].min() > 250
    assert photo.pixels[40, 60].max() < 5


def test_scaled_decoding_keeps_the_stated_size_and_the_least_side() -> None:
    data = encoded(Image.fromarray(noise(1600, 1200)), "JPEG", quality=80)
    photo = decode(data, at_least_px=448)
    assert (photo.width, photo.height) == (1600, 1200)
    assert photo.pixels.shape == (600, 800, 3)


@pytest.mark.parametrize("cut", range(0, 2000, 37))
def test_no_cut_or_flipped_byte_escapes_as_another_error(cut: int) -> None:
    for whole in (
        encoded(Image.fromarray(noise(40, 30)), "JPEG"),
        encoded(Image.fromarray(noise(40, 30)), "PNG"),
        encoded(Image.fromarray(noise(40, 30)), "WEBP"),
        encoded(Image.fromarray(noise(40, 30)), "GIF"),
    ):
        flipped = bytearray(whole)
        flipped[cut % len(whole)] ^= 0xFF
        for data in (whole[: cut % len(whole)], bytes(flipped)):
            try:
                decode(data)
            except PhotoError as error:
                assert str(error)


def test_reads_a_file_and_hashes_it(tmp_path: Path) -> None:
    path = tmp_path / "Größe und Ölfarbe 象牙.png"
    path.write_bytes(b"abc")
    assert read_file(path) == FileBytes(
        b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_missing_folder_link_and_name_with_nul(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for path, kind, message in (
        (tmp_path / "none.jpg", FailureKind.MISSING, "no such file"),
        (tmp_path / "broken", FailureKind.MISSING, "link"),
        (tmp_path, FailureKind.UNSUPPORTED, "folder"),
        (Path("a\0b.jpg"), FailureKind.INTERNAL, "null"),
    ):
        with pytest.raises(PhotoError, match=message) as caught:
            read_file(path)
        assert caught.value.kind == kind


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    root = os.geteuid() == 0
    if root:  # root may read everything: be nobody for a moment
        for folder in (tmp_path, *tmp_path.parents[:3]):
            if folder.stat().st_uid == 0 and str(folder) not in ("/", "/tmp"):
                folder.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(PhotoError, match="permission") as caught:
            read_file(path)
    finally:
        if root:
            os.seteuid(0)
    assert caught.value.kind == FailureKind.DENIED


def test_file_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faunalens.decode.MAX_BYTES", 10)
    path = tmp_path / "big.jpg"
    path.write_bytes(b"x" * 11)
    with pytest.raises(PhotoError, match="11 bytes") as caught:
        read_file(path)
    assert caught.value.kind == FailureKind.TOO_LARGE
