"""Edits of photos, and the table of what they cost."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import PHOTOS, plain
from evaluation_runs import draw_set, write_run
from PIL import Image

from faunalens.decode import decode, read_file
from faunalens_train.cli import main
from faunalens_train.edits import EDITS, UNCHANGED
from faunalens_train.robustness import losses


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(decode(read_file(PHOTOS / "crocodile.webp").data).pixels)


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_gives_a_file_that_differs_and_is_the_same_each_time(
    name: str, photo: Image.Image
) -> None:
    others = [plain((200, 30, 30)), plain((30, 200, 30)), plain((30, 30, 200))]
    before = np.asarray(photo).copy()
    data = EDITS[name](photo, others)
    assert data == EDITS[name](photo, others)
    assert (np.asarray(photo) == before).all()
    pixels = decode(data).pixels
    if pixels.shape == before.shape:
        gap = np.abs(pixels.astype(int) - before).mean()
        assert 0.3 < gap < 110
    for tiny in (plain((10, 20, 30), 1, 1), plain((10, 20, 30), 900, 3)):
        assert decode(EDITS[name](tiny, others)).pixels.size


def test_edits_do_what_they_say(photo: Image.Image) -> None:
    def edited(name: str) -> Image.Image:
        return Image.open(io.BytesIO(EDITS[name](photo, [photo] * 3)))

    assert max(edited("down to 160 px").size) == 160
    assert edited("rotated by 90").size == photo.size[::-1]
    assert edited("collage 2x2").size == tuple(2 * side + 6 for side in photo.size)
    sizes = [len(EDITS[f"JPEG quality {q}"](photo, [])) for q in (90, 70, 50, 35, 20)]
    assert sizes == sorted(sizes, reverse=True)
    mean = np.asarray(photo).mean()
    assert (
        np.asarray(edited("darker (0.5)")).mean()
        < mean
        < np.asarray(edited("brighter (1.5)")).mean()
    )
    grey = np.asarray(edited("greyscale").convert("RGB")).astype(int)
    assert np.abs(grey[..., 0] - grey[..., 1]).max() <= 2


def test_losses_count_for_labels_with_many_pictures_only() -> None:
    edits = {
        UNCHANGED: {
            "ivory": {"alert": 0.8, "review": 0.9},
            "parrot": {"alert": 1.0, "review": 1.0},
        },
        "blurred": {
            "ivory": {"alert": 0.71, "review": 0.78},
            "parrot": {"alert": 0.0, "review": 0.0},
        },
        "collage 2x2": {"ivory": {"alert": 0.62, "review": 0.72}, "parrot": {"alert": 0.0}},
        "mirrored": {
            "ivory": {"alert": 0.3, "review": 0.8},
            "parrot": {"alert": 1.0, "review": 1.0},
        },
    }
    found = losses(edits, {"ivory": 100, "parrot": 99})
    assert [(one["edit"], one["label"], one["level"]) for one in found] == [
        ("blurred", "ivory", "review"),
        ("mirrored", "ivory", "alert"),
    ]
    assert [one["loss"] for one in found] == pytest.approx([0.12, 0.5])


def test_command_measures_the_model_it_is_given(tmp_path: Path, tiny_model_path: Path) -> None:
    root = draw_set(tmp_path)
    run = write_run(root, root / "run", "part", 3)
    words = ["evaluate", str(run), "--robustness", "--model", str(tiny_model_path)]
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 0, answer.output
    found = json.loads((run / "evaluation" / "evaluation.json").read_text())["robustness"]
    assert set(found["edits"]) == {UNCHANGED, *EDITS}
    # The tiny model knows colours: grey takes them away, a mirror does not.
    assert found["edits"]["greyscale"]["live_snake"]["review"] == 0
    assert found["edits"]["mirrored"]["live_snake"] == {"alert": 1.0, "review": 1.0}
    text = (run / "evaluation" / "evaluation.md").read_text()
    assert "| photo of a screen |" in text and "## Robustness" in text
