"""A browser that uses the web app as an officer does."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from browser import MANY_FIELD, PHOTOS_FIELD, browse, opened
from conftest import GREEN, RED, png
from PIL import Image
from serving import MARKS, serving

from faunalens.labels import LANGUAGES
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app.catalogue import catalogue

pytest.importorskip("gradio", reason="the extra `app` is not installed")
pytestmark = MARKS


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_photo_in_each_language(server: str, tmp_path: Path, language: str) -> None:
    say = catalogue(language)
    photo = png(RED, tmp_path / "red.png")
    with browse(1280, 800) as watch:
        page = opened(watch, server, language)
        assert page.evaluate("document.documentElement.lang") == language
        page.set_input_files(PHOTOS_FIELD, photo)
        page.get_by_text(say("evidence.title")).wait_for(timeout=60_000)
        page.get_by_text("Loxodonta africana").wait_for()
        others = [u for u in watch.requests if not u.startswith((server, "data:", "blob:"))]
        assert others == [] and watch.errors == []


@pytest.mark.parametrize("width", [360, 1280])
def test_several_photos_in_a_browser(server: str, tmp_path: Path, width: int) -> None:
    say = catalogue("en")
    photos = [png(RED, tmp_path / "red.png"), png(GREEN, tmp_path / "green.png")]
    with browse(width, 800) as watch:
        page = opened(watch, server, "en")
        page.set_input_files(PHOTOS_FIELD, photos)
        page.locator("#fl-first h2", has_text="ivory").wait_for(timeout=60_000)
        page.get_by_label("2. green.png").check()
        page.locator("#fl-first h2", has_text="snake").wait_for(timeout=60_000)
        slider = page.get_by_label(say("evidence.heat"))
        slider.fill("30")
        assert page.locator("#fl-first .fl-heat").evaluate(
            "heat => getComputedStyle(heat).opacity"
        ) == pytest.approx("0.3")
        box = page.locator("#fl-first .fl-box")
        assert box.is_visible()
        page.get_by_label(say("evidence.box")).uncheck()
        assert not box.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.screenshot(path=tmp_path / "app.png", full_page=True)
        assert watch.errors == []
    with Image.open(tmp_path / "app.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(1 << 24) or []) > 50, "the page is not blank"


def test_a_pasted_photo(server: str) -> None:
    with browse(1280, 800) as watch:
        page = opened(watch, server, "en")
        page.evaluate(
            """async () => {
              const canvas = document.createElement('canvas');
              [canvas.width, canvas.height] = [64, 48];
              const pen = canvas.getContext('2d');
              pen.fillStyle = '#f00'; pen.fillRect(0, 0, 64, 48);
              const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
              const data = new DataTransfer();
              data.items.add(new File([blob], 'image.png', {type: 'image/png'}));
              document.body.dispatchEvent(
                new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
            }"""
        )
        page.locator("#fl-first h2", has_text="ivory").wait_for(timeout=60_000)
        assert page.get_by_text("pasted ").count()


def test_a_photo_from_the_camera(server: str) -> None:
    """Chromium's pretended camera shows a moving picture; what it shows is not the point."""
    say = catalogue("en")
    with browse(1280, 800, camera=True) as watch:
        page = watch.page
        page.goto(f"{server}en/")
        page.get_by_role("button", name=say("add.camera")).click(timeout=60_000)
        page.wait_for_function(
            "document.querySelector('#fl-camera-window video').videoWidth > 0", timeout=60_000
        )
        page.get_by_role("button", name=say("add.camera_take")).click()
        page.locator("#fl-first .fl-badge").wait_for(timeout=60_000)
        assert not page.locator("#fl-camera-window").is_visible()
        page.get_by_text("camera 20").first.wait_for()


def save_a_decision(page: Any, say: Any) -> None:
    page.get_by_label(say("decide.confirmed")).check()
    page.locator("#fl-decide").get_by_label(say("decide.officer")).fill("A. Peeters")
    page.get_by_role("button", name=say("decide.save")).click()


def test_a_database_that_is_down(tiny_model_path: Path, tmp_path: Path) -> None:
    from faunalens.decisions import Store
    from faunalens_app.desk import Desk
    from faunalens_app.web import Settings

    say, database = catalogue("en"), tmp_path / "folder" / "d.sqlite"
    database.parent.write_text("a file where the folder should be")
    store = Store(f"sqlite:///{database}")
    uploads = tmp_path / "uploads"
    classifier = Classifier(Model(tiny_model_path))
    with (
        serving(classifier, uploads, Settings(Desk(store))) as address,
        browse(1280, 800) as watch,
    ):
        page = watch.page
        page.goto(f"{address}en/")
        page.set_input_files(PHOTOS_FIELD, png(RED, tmp_path / "red.png"), timeout=60_000)
        page.locator("#fl-first h2", has_text="ivory").wait_for(timeout=60_000)
        save_a_decision(page, say)
        page.locator("#fl-told", has_text="kept in this page: 1").wait_for(timeout=60_000)
        database.parent.unlink()  # the database is back
        page.get_by_role("button", name=say("decide.again")).click()
        page.locator("#fl-told", has_text=say("decide.all_saved")).wait_for(timeout=60_000)
        assert [one.officer for one in store.decisions()] == ["A. Peeters"]


def test_review_from_the_keyboard(server: str, tmp_path: Path) -> None:
    say = catalogue("en")
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as members:
        for name, colour in (("red", RED), ("green", GREEN), ("grey", (90, 90, 90))):
            members.write(png(colour, tmp_path / f"{name}.png"), f"../{name}.png")
    with browse(1280, 800) as watch:
        page = watch.page
        page.goto(f"{server}en/")
        page.get_by_role("tab", name=say("tab.many")).click(timeout=60_000)
        page.set_input_files(MANY_FIELD, archive)
        place = page.locator("#fl-focus .fl-place")
        place.get_by_text("Photo 1 of 3").wait_for(timeout=60_000)
        page.locator("#fl-many").get_by_label(say("many.advert")).fill("gre")
        page.get_by_text("2 photos fit the filters").wait_for(timeout=60_000)
        page.locator("body").click(position={"x": 2, "y": 2})
        page.keyboard.press("c")
        page.locator("#fl-many-told", has_text=say("decide.first_name")).wait_for(timeout=60_000)
        panel = page.get_by_role("tabpanel").filter(has=page.locator("#fl-many-files"))
        panel.get_by_label(say("decide.officer")).fill("B. Dubois")
        page.locator("body").click(position={"x": 2, "y": 2})
        page.keyboard.press("c")
        place.get_by_text("Photo 2 of").wait_for(timeout=60_000)
        page.keyboard.press("p")
        place.get_by_text("Photo 1 of").wait_for(timeout=60_000)
        assert say("decide.confirmed") in place.inner_text()


def test_two_officers_at_once(server: str, tmp_path: Path) -> None:
    """Each sees the answer to their own photo."""
    with browse(1280, 800) as watch:
        first = watch.page
        second = first.context.browser.new_page()
        for page, colour, language in ((first, RED, "en"), (second, GREEN, "nl")):
            page.goto(f"{server}{language}/")
            page.locator("#fl-first .fl-empty").wait_for(timeout=60_000)
            photo = png(colour, tmp_path / f"{language}.png")
            page.set_input_files(PHOTOS_FIELD, photo)
        first.locator("#fl-first h2", has_text="ivory").wait_for(timeout=60_000)
        second.locator("#fl-first h2", has_text="slang").wait_for(timeout=60_000)
        second.close()
