"""Objects cut out of plain backdrops and put before others, as training sees them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import noise
from PIL import Image, ImageDraw
from test_train import row

from faunalens.spec import ResizeRule
from faunalens_train import cutout
from faunalens_train.augment import OutOfFocus, quarter_turn
from faunalens_train.backdrop import BackdropSwap, Donors, graded
from faunalens_train.collage import Collage
from faunalens_train.cutout import LastCut, cut_out
from faunalens_train.dataset import PhotoDataset, TrainingViews
from faunalens_train.recipe import config_from_dict
from faunalens_train.screens import PhotoOfScreen

SIDE = 64
OBJECT = (70, 40, 130, 150)  # left, top, right, bottom


def studio(width: int = 200, height: int = 180) -> npt.NDArray[np.uint8]:
    """A cream disc before a grey backdrop that darkens downwards, as a museum takes it."""
    shade = np.linspace(205, 150, height)[:, None, None] + np.zeros((1, width, 3))
    image = Image.fromarray(shade.astype(np.uint8))
    ImageDraw.Draw(image).ellipse(OBJECT, fill=(240, 215, 150))
    return np.asarray(image)


def test_object_is_cut_out_of_a_graded_backdrop() -> None:
    mask = cut_out(studio())
    assert mask is not None
    wanted = Image.new("L", (200, 180))
    ImageDraw.Draw(wanted).ellipse(OBJECT, fill=255)
    inside, found = np.asarray(wanted) > 127, mask > 127
    assert (inside & found).sum() / (inside | found).sum() > 0.9
    again = cut_out(studio())
    assert again is not None and np.array_equal(mask, again)


def test_many_views_of_a_photo_cut_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cuts = []
    monkeypatch.setattr(cutout, "cut_out", lambda pixels: cuts.append(pixels))
    photo, equal = studio(), studio()
    cut = LastCut()
    for pixels in (photo, photo, equal, equal, photo):
        assert cut(pixels) is None  # which is remembered as well
    assert [one is photo for one in cuts] == [True, False, True]


def test_nothing_is_cut_out_where_nothing_stands_out() -> None:
    assert cut_out(noise(120, 90)) is None
    assert cut_out(np.full((90, 120, 3), 180, np.uint8)) is None
    assert cut_out(np.full((1, 3, 3), 180, np.uint8)) is None
    filled = studio()[OBJECT[1] + 20 : OBJECT[3] - 20, OBJECT[0] + 10 : OBJECT[2] - 10]
    assert cut_out(filled) is None


def donors(folder: Path, cell: tuple[str, int, int]) -> Donors:
    """Row 1 is a green scene, row 2 a blue pot; row 0, the object, sits in train, 0, 0."""
    rows = [row(0, ("ivory",), None), row(1, (), "scene"), row(2, (), "like_ivory")]
    for one, colour in zip(rows, ("grey", "lime", "blue"), strict=True):
        Image.new("RGB", (80, 60), colour).save(folder / one.file)
    cells = {rows[0].sha256: ("train", 0, 0), rows[1].sha256: cell, rows[2].sha256: cell}
    return Donors(rows, cells, folder)


def test_backdrops_come_from_the_same_side_of_every_split(tmp_path: Path) -> None:
    object_ = row(0, ("ivory",), None)
    drawn = donors(tmp_path, ("train", 0, 0)).draw(object_)
    assert drawn is not None
    assert np.asarray(drawn)[30, 40].tolist()[1] > 200  # the scene, not the look-alike
    for elsewhere in (("test", 0, 0), ("train", 1, 0), ("train", 0, 1)):
        assert donors(tmp_path, elsewhere).draw(object_) is None


def test_object_keeps_its_colour_before_another_backdrop(tmp_path: Path) -> None:
    torch.manual_seed(0)
    swap = BackdropSwap(donors(tmp_path, ("train", 0, 0)), SIDE)
    cream = green = 0
    for _ in range(20):
        view = swap(studio(), row(0, ("ivory",), None))
        assert view is not None
        assert view.shape == (SIDE, SIDE, 3)
        near = np.abs(view.astype(int) - (240, 215, 150)).sum(-1) < 40
        cream += near.mean() > 0.02
        green += (view[..., 1].astype(int) - view[..., 0] > 150).mean() > 0.2
    assert cream == 20
    assert 4 < green < 20
    assert swap(noise(60, 60), row(0, ("ivory",), None)) is None


def test_a_collage_shows_the_photo_smaller_beside_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    red = np.full((60, 80, 3), (200, 20, 20), np.uint8)
    make = Collage(donors(tmp_path, ("train", 0, 0)), SIDE)
    shares, beside = [], 0
    for _ in range(30):
        sheet = make(red, row(0, ("ivory",), None))
        assert sheet is not None
        assert sheet.shape == (SIDE, SIDE, 3)
        shares.append((np.abs(sheet.astype(int) - (200, 20, 20)).sum(-1) < 9).mean())
        beside += (sheet[..., 1].astype(int) - sheet[..., 0] > 150).mean() > 0.1
    assert 0.2 < min(shares) < 0.3  # one of four cells
    assert max(shares) > 0.4  # one of two, or also closer beside itself
    assert beside > 20
    lonely = Collage(donors(tmp_path, ("test", 0, 0)), SIDE)
    assert all(lonely(red, row(0, ("ivory",), None)) is None for _ in range(5))


def test_quarter_turns_and_focus() -> None:
    torch.manual_seed(0)
    ramp = Image.fromarray(np.tile(np.arange(SIDE, dtype=np.uint8) * 4, (SIDE, 1))).convert("RGB")
    turned = [np.asarray(quarter_turn(ramp)).astype(int)[..., 0] for _ in range(40)]
    quarter = sum(abs(one[-1, 0] - one[0, 0]) > 200 for one in turned)
    assert 24 < quarter < 40  # the rest are upside down
    halves = np.array([[0] * 32 + [255] * 32], np.uint8)
    edge = Image.fromarray(np.repeat(halves, SIDE, 0)).convert("RGB")
    assert len(set(np.asarray(OutOfFocus(0.05)(edge))[9, :, 0].tolist())) > 4


def test_a_photo_of_a_screen_is_another_each_time() -> None:
    torch.manual_seed(0)
    grey = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    seen = [np.asarray(PhotoOfScreen()(grey)).astype(int) for _ in range(3)]
    assert all(one.shape == (SIDE, SIDE, 3) and one.std() > 2 for one in seen)
    assert np.abs(seen[0] - seen[1]).mean() > 3


def test_graded_backdrops_differ() -> None:
    torch.manual_seed(0)
    first, second = (np.asarray(graded(SIDE)).astype(int) for _ in range(2))
    assert first.shape == (SIDE, SIDE, 3)
    assert np.abs(first - second).mean() > 5


def test_training_sees_changed_views_and_a_seed_repeats_them(tmp_path: Path) -> None:
    rows = [row(0, ("ivory",), None), row(1, (), "scene")]
    for one in rows:
        Image.fromarray(studio()).save(tmp_path / one.file)
    config = config_from_dict(
        {
            "data": {"manifest": "m.csv", "splits": "s.csv"},
            "net": {"pretrained": False, "size_px": SIDE},
            "augment": {"swap_p": 1.0},
        }
    )
    cells = {one.sha256: ("train", 0, 0) for one in rows}
    views = TrainingViews(config, rows, cells, tmp_path)
    photos = PhotoDataset(rows, tmp_path, ResizeRule(SIDE), views)
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(photos[0][0])
    assert seen[0].shape == (SIDE, SIDE, 3)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
