"""A headless Chromium for tests of pages: what it asked of other machines is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@dataclass
class Watch:
    """A page, the addresses it asked for, and its errors: on the console, or not caught."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


PHOTOS_FIELD = "#fl-files input[type=file]"
MANY_FIELD = "#fl-many-files input[type=file]"


def opened(watch: Watch, address: str, language: str) -> Any:
    """The page in a language, once it can be used: page.js has run to its end."""
    watch.page.goto(f"{address}{language}/")
    watch.page.locator("#fl-first[aria-live] .fl-empty").wait_for(timeout=60_000)
    return watch.page


@contextmanager
def browse(width: int, height: int, *, camera: bool = False) -> Iterator[Watch]:
    """A new page; the test is skipped, and says so, where there is no browser.

    Args:
        camera: Whether the browser pretends to have one.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"NOT TESTED in a browser: {CHROMIUM} is missing (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        arguments = _ARGUMENTS + (_CAMERA if camera else [])
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        try:
            watch = Watch(browser.new_page(viewport={"width": width, "height": height}))
            watch.page.on("request", lambda request: watch.requests.append(request.url))
            watch.page.on(
                "console",
                lambda message: (
                    watch.errors.append(message.text) if message.type == "error" else None
                ),
            )
            watch.page.on("pageerror", lambda error: watch.errors.append(str(error)))
            yield watch
        finally:
            browser.close()
