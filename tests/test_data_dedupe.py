"""Near duplicates: copies of one picture are joined, pictures that merely look alike are not."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageEnhance

from faunalens_data import dedupe
from faunalens_data.cli import main
from faunalens_data.dedupe import Pair, find_pairs, join_groups
from faunalens_data.manifest import ManifestError, Row, read_manifest, write_manifest


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A drawn picture with shapes all over, another one for every seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(map(int, rng.integers(40, 200, 3))))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
        w, h = map(int, rng.integers(8, 70, 2))
        colour = tuple(map(int, rng.integers(0, 256, 3)))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), colour)
    return image


def vase(seed: int) -> Image.Image:
    """One pale thing in the middle of a plain grey backdrop; the seed changes its ornament."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (240, 320), (128, 128, 132))
    draw = ImageDraw.Draw(image)
    draw.ellipse((70, 60, 170, 280), (225, 215, 195))
    for _ in range(40):
        x, y = int(rng.integers(90, 145)), int(rng.integers(90, 250))
        draw.rectangle((x, y, x + 9, y + 5), (150, 120, 90))
    return image


def data_set(folder: Path, pictures: dict[str, Image.Image], quality: int = 95) -> list[Row]:
    rows = []
    for number, (name, image) in enumerate(pictures.items()):
        path = folder / f"{name}.jpg"
        image.save(path, "JPEG", quality=quality)
        rows.append(
            Row(
                file=path.name,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                labels=(),
                negative_kind="goods",
                group=f"g{number}",
                source="shop",
            )
        )
    return rows


def found(folder: Path, rows: list[Row]) -> list[tuple[str, str, bool]]:
    return [
        (rows[pair.a].file, rows[pair.b].file, pair.mirrored) for pair in find_pairs(rows, folder)
    ]


def test_mirrored_small_saved_again_copy_is_found(tmp_path: Path) -> None:
    original = scene(0)
    mirrored = original.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((160, 120))
    rows = data_set(tmp_path, {"original": original, "other": scene(1)})
    rows += [replace(data_set(tmp_path, {"copy": mirrored}, quality=50)[0], group="g9")]
    assert found(tmp_path, rows) == [("original.jpg", "copy.jpg", True)]


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: image.resize((100, 75)),
        lambda image: image.resize((352, 240)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.15),
        lambda image: ImageEnhance.Contrast(image).enhance(1.3),
        lambda image: image.crop((3, 2, 317, 238)),
    ],
    ids=["small", "stretched", "brighter", "more contrast", "cropped by 2 %"],
)
def test_copy_is_found(tmp_path: Path, copy: Callable[[Image.Image], Image.Image]) -> None:
    rows = data_set(tmp_path, {"a": scene(3), "b": scene(4), "copy": copy(scene(3))}, quality=70)
    assert found(tmp_path, rows) == [("a.jpg", "copy.jpg", False)]


def test_look_alikes_on_a_plain_backdrop_are_not_joined(tmp_path: Path) -> None:
    rows = data_set(tmp_path, {f"vase{seed}": vase(seed) for seed in range(6)})
    assert found(tmp_path, rows) == []
    # The hash alone would have joined some: this is what the second look is for.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedupe, "MIN_DETAIL", -1.0)
        assert found(tmp_path, rows) != []


def test_flat_pictures_match_nothing_but_their_own_file(tmp_path: Path) -> None:
    colours = {"red": (200, 0, 0), "olive": (120, 120, 30), "red too": (200, 0, 0)}
    rows = data_set(tmp_path, {name: Image.new("RGB", (64, 64), c) for name, c in colours.items()})
    assert rows[0].sha256 == rows[2].sha256
    assert [(first, second) for first, second, _ in found(tmp_path, rows)] == [
        ("red.jpg", "red too.jpg")
    ]


def test_pictures_of_one_group_are_no_news(tmp_path: Path) -> None:
    rows = data_set(tmp_path, {"a": scene(5), "b": scene(5).resize((200, 150))})
    assert len(find_pairs(rows, tmp_path)) == 1
    assert find_pairs([replace(row, group="g") for row in rows], tmp_path) == []


@pytest.mark.parametrize("tile", [1, 3, 2048])
def test_tiles_do_not_matter(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedupe, "_TILE", tile)
    rng = np.random.default_rng(0)
    bits: npt.NDArray[np.uint8] = rng.integers(0, 2, (7, 64)).astype(np.uint8)
    bits[5] = bits[1]
    bits[5, :4] ^= 1
    near = list(dedupe._near(bits, bits, np.arange(7), 4, False))
    assert near == [Pair(1, 5, 4, 0.0, False)]
    assert list(dedupe._near(bits, bits, np.arange(7), 3, False)) == []


def test_groups_are_joined_through_chains(tmp_path: Path) -> None:
    rows = [
        replace(row, group=group)
        for row, group in zip(
            data_set(tmp_path, {name: Image.new("RGB", (8, 8)) for name in "abcdef"}),
            ["g5", "g1", "g5", "g2", "g3", "g4"],
            strict=True,
        )
    ]

    def pair(a: int, b: int) -> Pair:
        return Pair(a, b, 0, 1.0, False)

    joined = join_groups(rows, [pair(0, 1), pair(2, 3), pair(4, 5)])
    assert [row.group for row in joined] == ["g1", "g1", "g1", "g1", "g3", "g3"]
    assert join_groups(rows, [pair(4, 5), pair(2, 3), pair(0, 1)]) == joined
    assert join_groups(rows, []) == rows


def test_command(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = data_set(tmp_path / "images", {"a": scene(1), "b": scene(2), "c": scene(1)}, 80)
    write_manifest(tmp_path / "manifest.csv", rows)
    out = tmp_path / "joined.csv"
    command = ["dedupe", str(tmp_path), "--out", str(out)]
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == "3 pictures: 1 pair of copies (0 mirrored), 3 groups became 2\n"
    assert [row.group for row in read_manifest(out)] == ["g0", "g1", "g0"]
    with (tmp_path / "joined_pairs.csv").open(newline="") as stream:
        (pair,) = csv.DictReader(stream)
    assert (pair["file_a"], pair["file_b"], pair["group_b"]) == ("a.jpg", "c.jpg", "g2")
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr.startswith(f"Error: {out} exists")
    assert CliRunner().invoke(main, [*command, "--overwrite"]).exit_code == 0


def test_help_names_the_default_distance() -> None:
    text = " ".join(CliRunner().invoke(main, ["dedupe", "--help"]).stdout.split())
    assert f"[default: {dedupe.DEFAULT_DISTANCE}" in text


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    rows = data_set(tmp_path, {"a": scene(1), "b": scene(2)})
    (tmp_path / "b.jpg").write_bytes(b"no photo")
    with pytest.raises(ManifestError, match=r"1 of 2 .* the first is b\.jpg; run"):
        find_pairs(rows, tmp_path)
