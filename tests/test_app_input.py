"""What officers add to the web app by mistake or in bulk, in a browser."""

from pathlib import Path
from typing import Any

import pytest
from browser import MANY_FIELD, PHOTOS_FIELD, Watch, browse, opened
from conftest import BLUE, GREEN, RED, plain, png
from PIL import Image
from serving import MARKS, default_desk, serving

from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app.catalogue import catalogue

pytest.importorskip("gradio", reason="the extra `app` is not installed")
pytestmark = MARKS

# A drop on the place for files, as gradio's own element gets it: one file of 3 MB, one photo.
_DROP = """async () => {
  const canvas = document.createElement('canvas');
  canvas.getContext('2d').fillStyle = '#0f0';
  canvas.getContext('2d').fillRect(0, 0, 300, 150);
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(3 * 2 ** 20)], 'big.jpg', {type: 'image/jpeg'}));
  data.items.add(new File([blob], 'small.png', {type: 'image/png'}));
  const target = document.querySelector('#fl-files input[type=file]').closest('button');
  for (const kind of ['dragenter', 'dragover', 'drop'])
    target.dispatchEvent(
      new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def of_size(path: Path, mb: int) -> Path:
    """A file of zeros that takes no room on the disk."""
    with path.open("wb") as handle:
        handle.truncate(mb * 2**20)
    return path


def refused(watch: Watch) -> Any:
    """The sentence about files over the limit, on the screen at hand."""
    return watch.page.locator(".fl-over:visible")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_file_of_200_mb_is_refused_in_the_language(
    server: str, tmp_path: Path, language: str
) -> None:
    """The photo that came with it is judged all the same."""
    say = catalogue(language)
    large, red = of_size(tmp_path / "tusk.jpg", 200), png(RED, tmp_path / "red.png")
    said = " ".join(say("add.over_limit", names="tusk.jpg", mb="100").split())
    with browse(1280, 800) as watch:
        page = opened(watch, server, language)
        page.set_input_files(PHOTOS_FIELD, large)
        refused(watch).wait_for(timeout=60_000)
        assert " ".join(refused(watch).inner_text().split()) == said
        page.wait_for_timeout(4000)  # what gradio says by itself is on the console after 3 s
        assert page.locator("#fl-first .fl-empty").is_visible()
        page.set_input_files(PHOTOS_FIELD, [large, red])
        page.locator("#fl-first h2").wait_for(timeout=60_000)
        assert refused(watch).is_visible()
        page.set_input_files(PHOTOS_FIELD, png(GREEN, tmp_path / "green.png"))
        page.get_by_label("2. green.png").wait_for(timeout=60_000)
        assert refused(watch).count() == 0, "it is about what was added last"
        assert page.get_by_text("maximum allowed size").count() == 0 and watch.errors == []


def test_a_limit_of_2_mb(tiny_model_path: Path, tmp_path: Path) -> None:
    """For dropped files, a folder and a batch too; and a small file may have too many pixels."""
    from faunalens_app.web import Settings

    huge = tmp_path / "huge.png"
    Image.new("1", (30_000, 30_000)).save(huge)
    folder, uploads = tmp_path / "folder", tmp_path / "uploads"
    folder.mkdir()
    uploads.mkdir()
    big = of_size(folder / "big.jpg", 3)
    settings = Settings(default_desk(uploads), max_upload_mb=2)
    say = catalogue("en")
    with (
        serving(Classifier(Model(tiny_model_path)), uploads, settings) as address,
        browse(1280, 800) as watch,
    ):
        page = opened(watch, address, "en")
        page.evaluate(_DROP)
        refused(watch).filter(has_text="big.jpg. A file may have 2 MB").wait_for(timeout=60_000)
        page.locator("#fl-first h2", has_text="snake").wait_for(timeout=60_000)
        page.set_input_files(PHOTOS_FIELD, huge)
        page.locator("#fl-first", has_text="150 million pixels").wait_for(timeout=60_000)
        page.get_by_role("tab", name=say("tab.many")).click()
        page.set_input_files(MANY_FIELD, big)
        refused(watch).wait_for(timeout=60_000)
        png(RED, folder / "red.png")
        page.set_input_files("input[webkitdirectory]", folder)
        page.locator("#fl-counts", has_text="Photos: 1.").wait_for(timeout=60_000)
        assert refused(watch).is_visible() and watch.errors == []


def test_of_an_animation_the_first_picture_is_judged(server: str, tmp_path: Path) -> None:
    first, *others = (plain(colour) for colour in (RED, GREEN, BLUE))
    moving = tmp_path / "moving.webp"
    first.save(moving, save_all=True, append_images=others, duration=100, lossless=True)
    with Image.open(moving) as drawn:
        assert getattr(drawn, "n_frames", 1) == 3
    with browse(1280, 800) as watch:
        page = opened(watch, server, "en")
        page.set_input_files(PHOTOS_FIELD, moving)
        page.locator("#fl-first h2", has_text="ivory").wait_for(timeout=60_000)
        page.locator("#fl-first .fl-marked img").first.wait_for()
        assert watch.errors == []


def test_500_files_at_once(server: str, tmp_path: Path) -> None:
    """All are judged where many belong; the first screen says where that is."""
    say = catalogue("nl")
    files = [
        png((number // 2, number % 251, 9), tmp_path / f"{number}.png") for number in range(498)
    ]
    files += [png(RED, tmp_path / "red.png"), tmp_path / "note.jpg"]
    files[-1].write_text("a text file")
    with browse(1280, 800) as watch:
        page = opened(watch, server, "nl")
        page.set_input_files(PHOTOS_FIELD, files)
        text = say("add.too_many", most=20, found=500)
        page.locator("#fl-first", has_text=text).wait_for(timeout=180_000)
        page.get_by_role("tab", name=say("tab.many")).click()
        page.set_input_files(MANY_FIELD, files)
        page.locator("#fl-counts", has_text="500").wait_for(timeout=240_000)
        page.locator("#fl-focus .fl-place", has_text="red.png").wait_for(timeout=60_000)
        page.locator(
            "#fl-gallery", has_text=say("many.shown", found=500, page=1, pages=21)
        ).wait_for(timeout=60_000)
        assert watch.errors == []


def test_looking_closer_is_offered_at_a_judged_photo_alone(pair: Path, tmp_path: Path) -> None:
    small, note, uploads = (tmp_path / name for name in ("small.png", "note.jpg", "uploads"))
    photo = plain((0, 0, 0), 200, 200)
    photo.paste(RED, (40, 40, 130, 130))  # too small for a clear answer at the first look
    photo.save(small)
    note.write_text("a text file")
    uploads.mkdir()
    closer = catalogue("en")("closer.ask")
    with serving(Classifier(Model(pair)), uploads) as address, browse(1280, 800) as watch:
        page = opened(watch, address, "en")
        button = page.get_by_role("button", name=closer)
        assert button.count() == 0
        page.set_input_files(PHOTOS_FIELD, [small, note])
        button.wait_for(timeout=60_000)
        page.get_by_label("2. note.jpg").check()
        page.locator("#fl-first .fl-failed").wait_for(timeout=60_000)
        button.wait_for(state="hidden", timeout=60_000)
        page.get_by_label("1. small.png").check()
        button.click(timeout=60_000)
        page.locator("#fl-more", has_text="(zoom)").wait_for(timeout=60_000)
        assert watch.errors == []
