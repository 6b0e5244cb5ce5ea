"""Every screen of the web app, walked in a browser: no error on the console, and accessible."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from browser import MANY_FIELD, PHOTOS_FIELD, browse, opened
from conftest import GREEN, RED, png
from serving import MARKS

from faunalens_app.catalogue import catalogue

pytest.importorskip("gradio", reason="the extra `app` is not installed")
pytestmark = MARKS


def test_the_console_holds_no_error_on_a_walk(server: str, tmp_path: Path) -> None:
    """A photo, a file that is none, one over the limit, a decision, a record, a batch, exports."""
    say = catalogue("de")
    red, green = png(RED, tmp_path / "red.png"), png(GREEN, tmp_path / "green.png")
    note, large = tmp_path / "note.jpg", tmp_path / "large.jpg"
    note.write_text("a text file")
    with large.open("wb") as handle:
        handle.truncate(200 * 2**20)
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.write(red, "red.png")
        members.write(green, "green.png")

    def named(key: str) -> Any:
        return page.get_by_role("button", name=say(key), exact=True)

    with browse(1280, 800) as watch:
        page = opened(watch, server, "de")
        page.set_input_files(PHOTOS_FIELD, large)
        page.locator("#fl-tools .fl-over").wait_for(timeout=60_000)
        page.set_input_files(PHOTOS_FIELD, [red, note])
        page.get_by_label("2. note.jpg").check(timeout=60_000)
        page.locator("#fl-first .fl-failed").wait_for(timeout=60_000)
        page.get_by_label("1. red.png").check()
        page.locator("#fl-first .fl-marked").wait_for(timeout=60_000)
        page.get_by_label(say("decide.confirmed")).check()
        page.locator("#fl-decide").get_by_label(say("decide.officer")).fill("A. Peeters")
        named("decide.save").click()
        page.locator("#fl-told .fl-done").wait_for(timeout=60_000)
        named("case.make").click()
        with page.expect_download() as record:
            page.locator("#fl-case a").first.click(timeout=60_000)
        assert record.value.suggested_filename.endswith(".pdf")
        page.get_by_role("tab", name=say("tab.many")).click()
        page.set_input_files(MANY_FIELD, archive)
        page.locator("#fl-gallery li").nth(1).wait_for(timeout=60_000)
        named("many.next").click()
        page.locator("#fl-focus", has_text="2").wait_for(timeout=60_000)
        for export, file in (("many.csv", "csv"), ("many.report", "html")):
            named(export).click()
            page.locator(f"#fl-exported a[href$='.{file}']").first.wait_for(timeout=60_000)
        for tab, place in (("tab.decisions", "#fl-agree svg"), ("tab.model", "#fl-model h2")):
            page.get_by_role("tab", name=say(tab)).click()
            page.locator(place).first.wait_for(timeout=60_000)
        page.get_by_role("link", name="Nederlands").click()
        page.get_by_text(catalogue("nl")("answer.waiting")).wait_for(timeout=60_000)
        assert watch.errors == []


def violations(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in axe.run(page).response["violations"]]


def test_every_screen_is_accessible(server: str, tmp_path: Path) -> None:
    """axe-core finds nothing, on a wide screen, on a phone, and at 200 % zoom."""
    say = catalogue("en")
    red, note = png(RED, tmp_path / "red.png"), tmp_path / "note.jpg"
    note.write_text("a text file")
    with browse(1280, 800) as watch:
        page = opened(watch, server, "en")
        assert violations(page) == []
        page.set_input_files(PHOTOS_FIELD, [red, note])
        page.locator("#fl-first .fl-card h2").wait_for(timeout=60_000)
        assert violations(page) == []
        page.get_by_role("tab", name=say("tab.many")).click()
        page.set_input_files(MANY_FIELD, [red, note])
        page.locator("#fl-gallery li").nth(1).wait_for(timeout=60_000)
        assert violations(page) == []
        for tab, place in (("tab.decisions", "#fl-agree h2"), ("tab.model", "#fl-model h2")):
            page.get_by_role("tab", name=say(tab)).click()
            page.locator(place).wait_for(timeout=60_000)
            assert violations(page) == []
        for width in (360, 640):  # 640 is 1280 at 200 %
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            page.screenshot(path=tmp_path / f"model-{width}.png")
        assert watch.errors == []
