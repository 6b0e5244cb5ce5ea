"""Sheets of photos: where their seams are found, and what is said of each photo."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import RED, plain
from PIL import Image, ImageColor, ImageDraw

from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.preprocess import preprocess
from faunalens.sheet import SEEN, photos_of


def seen(image: Image.Image) -> npt.NDArray[np.uint8]:
    return preprocess(np.asarray(image), SEEN)


def textured(seed: int, size: tuple[int, int] = (240, 200)) -> Image.Image:
    """Soft blobs around one colour, as a photo has them, with edges that are not straight."""
    rng = np.random.default_rng(seed)
    colour = np.array(ImageColor.getrgb(f"hsl({seed * 137 % 360}, 60%, {35 + seed * 23 % 40}%)"))
    blobs = np.clip(colour + rng.integers(-35, 35, (7, 7, 3)), 0, 255)
    return Image.fromarray(blobs.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def sheet(photos: list[Image.Image], columns: int, gap: int = 0) -> Image.Image:
    width, height = photos[0].size
    rows = -(-len(photos) // columns)
    out = Image.new(
        "RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), (255, 255, 255)
    )
    for place, photo in enumerate(photos):
        out.paste(photo, (place % columns * (width + gap), place // columns * (height + gap)))
    return out


@pytest.mark.parametrize(("columns", "rows"), [(2, 2), (2, 1), (1, 2), (3, 2), (3, 3)])
@pytest.mark.parametrize("gap", [0, 3, 12])
def test_an_even_sheet_is_cut_at_its_seams(columns: int, rows: int, gap: int) -> None:
    picture = sheet([textured(n) for n in range(columns * rows)], columns, gap)
    boxes = photos_of(seen(picture))
    centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
    expected = [
        ((x + 0.5) / columns, (y + 0.5) / rows) for y in range(rows) for x in range(columns)
    ]
    assert centres == [pytest.approx(at, abs=0.03) for at in expected]


def test_one_large_beside_two_small() -> None:
    picture = Image.new("RGB", (480, 400))
    picture.paste(textured(1, (240, 400)), (0, 0))
    picture.paste(textured(2), (240, 0))
    picture.paste(textured(3), (240, 200))
    boxes = photos_of(seen(picture))
    assert boxes[0][:2] == (0.0, 0.0)
    assert boxes[0][2:] == pytest.approx((0.5, 1.0), abs=0.02)
    assert len(boxes) == 3


def table_edge() -> Image.Image:
    """A straight edge from side to side, but not sharp along all of it."""
    image = textured(4, (400, 400))
    wood = Image.new("RGB", (400, 200), (120, 80, 40))
    image.paste(wood, (0, 200), Image.linear_gradient("L").rotate(90).resize((400, 200)))
    return image


def framed() -> Image.Image:
    image = textured(5, (400, 400))
    ImageDraw.Draw(image).rectangle((80, 60, 300, 330), outline=(0, 0, 0), width=6)
    return image


@pytest.mark.parametrize(
    "picture",
    [textured(6), plain((90, 120, 200)), table_edge(), framed(), textured(7).rotate(20)],
    ids=["texture", "plain", "table edge", "frame", "askew"],
)
def test_one_photo_is_no_sheet(picture: Image.Image) -> None:
    assert photos_of(seen(picture)) == []


@pytest.mark.parametrize("side", [1, 2, 3, 5, 32])
def test_small_model_inputs(side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    assert photos_of(noise) == []


def test_a_checkerboard_ends_at_nine() -> None:
    squares = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((28, 28))).astype(np.uint8) * 255
    assert 1 < len(photos_of(np.repeat(squares[..., None], 3, 2))) <= 9


def test_each_photo_of_a_sheet_is_judged(pair: Path) -> None:
    """What fills one photo of four is found, the rule says in which, and the map shows where."""
    model = Model(pair)
    dim = [Image.blend(textured(n), plain((0, 0, 0)).resize((240, 200)), 0.8) for n in range(8)]
    photos = [dim[0], dim[1], Image.new("RGB", (240, 200), RED), dim[2]]
    out = io.BytesIO()
    sheet(photos, 2, gap=4).save(out, "PNG")
    judged = Classifier(model).classify(out.getvalue())
    assert judged.record.label == "ivory"
    assert judged.record.rule is not None
    assert judged.record.rule.endswith("(photo 3 of 4, second model)"), judged.record.rule
    assert judged.evidence is not None
    ivory = judged.evidence[model.spec.labels.index("ivory")]
    down, across = np.unravel_index(ivory.argmax(), ivory.shape)
    assert down >= ivory.shape[0] / 2 and across < ivory.shape[1] / 2
