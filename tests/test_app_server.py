"""The running web app: what it answers, what it refuses, and a browser that uses it."""

import hashlib
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browse
from click.testing import CliRunner
from conftest import plain
from PIL import Image
from serving import default_desk, serving

from faunalens.cli import main
from faunalens.labels import LANGUAGES
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app import text
from faunalens_app.catalogue import catalogue

pytest.importorskip("gradio", reason="the extra `app` is not installed")
# gradio counts its calls with pandas, in a way that pandas has deprecated.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

RED, GREEN, GREY = (255, 0, 0), (0, 255, 0), (90, 90, 90)


@pytest.fixture(scope="module")
def server(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    uploads = tmp_path_factory.mktemp("uploads")
    with serving(Classifier(Model(tiny_model_path)), uploads) as address:
        yield address


def png(colour: tuple[int, int, int], path: Path) -> Path:
    plain(colour).save(path, "PNG")
    return path


def call(server: str, data: object) -> tuple[str, Any]:
    """The function as a program without gradio calls it: the event, and what came with it."""
    body = json.dumps({"data": [[data]]}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server}en/gradio_api/call/check", body, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        number = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{server}en/gradio_api/call/check/{number}", timeout=60) as reply:
        event, content = reply.read().decode().strip().splitlines()[-2:]
    return event.removeprefix("event: "), json.loads(content.removeprefix("data: "))


def test_photos_through_the_api(server: str, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    rotated = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    plain(RED, 80, 40).save(rotated, exif=exif)
    note = tmp_path / "note.jpg"
    note.write_text("a text file")
    client = Client(f"{server}de/", verbose=False, download_files=False)
    try:
        photos = [handle_file(rotated), handle_file(note)]
        hit, failed = client.predict(photos=photos, api_name="/check")
    finally:
        client.close()
    assert hit["text"] == "Sieht aus wie Elefantenelfenbein, roh oder bearbeitet."
    record = hit["record"]
    assert record["sha256"] == hashlib.sha256(rotated.read_bytes()).hexdigest(), "as it came"
    assert (record["width"], record["height"]) == (40, 80)
    assert len(hit["region"]) == 4 and hit["check"] and hit["law"]
    assert failed["record"]["failure"]["kind"] == "not_an_image"
    assert failed["text"].startswith("Kein Foto")


@pytest.mark.parametrize(
    "path", ["http://127.0.0.1:9/a.jpg", "https://example.com/a.jpg", "/etc/hostname", 3]
)
def test_links_and_other_files_are_refused(server: str, path: object) -> None:
    event, content = call(server, {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert event == "error"
    assert "Traceback" not in str(content)


def test_the_page_names_no_other_machine(server: str) -> None:
    with urllib.request.urlopen(f"{server}fr/", timeout=20) as reply:
        policy = reply.headers["content-security-policy"]
        page = reply.read().decode()
    assert "default-src 'self'" in policy and "http" not in policy
    assert "fonts.googleapis" not in page and "cdnjs" not in page
    assert 'lang="fr"' in page


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({}, "/en/"),
        ({"Accept-Language": "de-AT,de;q=0.9"}, "/de/"),
        ({"Accept-Language": "de", "Cookie": "faunalens-language=nl"}, "/nl/"),
        ({"Cookie": "faunalens-language=xx"}, "/en/"),
    ],
)
def test_the_first_page_is_in_the_language_of_the_browser(
    server: str, headers: dict[str, str], place: str
) -> None:
    with urllib.request.urlopen(urllib.request.Request(server, headers=headers)) as reply:
        assert reply.url == server.rstrip("/") + place


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("", {"Host": "evil.example"}, 421),
        ("", {"Host": "127.0.0.1.evil.example"}, 421),
        ("en/gradio_api/info", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("en/gradio_api/file=https://example.com/", {}, 404),
        ("en/gradio_api/file=HTTPS:/example.com/", {}, 403),  # gradio: no such upload
        ("en/gradio_api/file=/etc/hostname", {}, 403),
        ("en/gradio_api/proxy=https://example.com/", {}, 404),
        ("en/gradio_api/vibe-code", {}, 404),
        ("xx/", {}, 404),
        ("monitoring", {}, 404),
        ("en/monitoring", {}, 404),
        ("docs", {}, 404),
    ],
)
def test_refused_addresses(server: str, path: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(server + path, headers=headers), timeout=20)
    assert refused.value.code == status
    if status == 421:
        assert refused.value.read().decode() == text.REFUSED
    refused.value.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_photo_in_each_language(server: str, tmp_path: Path, language: str) -> None:
    say = catalogue(language)
    photo = png(RED, tmp_path / "red.png")
    with browse(1280, 800) as watch:
        page = watch.page
        page.goto(f"{server}{language}/")
        page.get_by_text(say("answer.waiting")).wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.lang") == language
        page.set_input_files("#fl-files input[type=file]", photo)
        page.get_by_text(say("evidence.title")).wait_for(timeout=60_000)
        page.get_by_text("Loxodonta africana").wait_for()
        others = [u for u in watch.requests if not u.startswith((server, "data:", "blob:"))]
        assert others == [] and watch.errors == []


@pytest.mark.parametrize("width", [360, 1280])
def test_several_photos_in_a_browser(server: str, tmp_path: Path, width: int) -> None:
    say = catalogue("en")
    photos = [png(RED, tmp_path / "red.png"), png(GREEN, tmp_path / "green.png")]
    with browse(width, 800) as watch:
        page = watch.page
        page.goto(f"{server}en/")
        page.get_by_text(say("answer.waiting")).wait_for(timeout=60_000)
        page.set_input_files("#fl-files input[type=file]", photos)
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
        page = watch.page
        page.goto(f"{server}en/")
        page.get_by_text(catalogue("en")("answer.waiting")).wait_for(timeout=60_000)
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


def test_a_decision_and_a_record_through_the_api(server: str, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    photo = handle_file(png(RED, tmp_path / "red.png"))
    about: dict[str, Any] = {"photo": photo, "officer": "API officer", "note": "by a program"}
    client = Client(f"{server}en/", verbose=False, download_files=str(tmp_path / "down"))
    try:
        told = client.predict(**about, choice="confirmed", other_label="", api_name="/decide")
        assert told["label"] == "ivory" and told["officer"] == "API officer"
        pdf, record = client.predict(
            **about, choice="other", other_label="nothing", api_name="/case_record"
        )
        for wrong in ({"choice": "maybe"}, {"choice": "other", "other_label": "unicorn"}):
            with pytest.raises(AppError):
                client.predict(**about, **{"other_label": "", **wrong}, api_name="/decide")
        counted = client.predict(api_name="/agreement")
    finally:
        client.close()
    assert counted["ivory"]["confirmed"] >= 1
    for file in (pdf, record):
        path = file["path"] if isinstance(file, dict) else file
        assert CliRunner().invoke(main, ["verify", path]).exit_code == 0


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
        page.set_input_files(
            "#fl-files input[type=file]", png(RED, tmp_path / "red.png"), timeout=60_000
        )
        page.locator("#fl-first h2", has_text="ivory").wait_for(timeout=60_000)
        save_a_decision(page, say)
        page.locator("#fl-told", has_text="kept in this page: 1").wait_for(timeout=60_000)
        database.parent.unlink()  # the database is back
        page.get_by_role("button", name=say("decide.again")).click()
        page.locator("#fl-told", has_text=say("decide.all_saved")).wait_for(timeout=60_000)
        assert [one.officer for one in store.decisions()] == ["A. Peeters"]


def violations(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in axe.run(page).response["violations"]]


def test_every_screen_is_accessible(server: str, tmp_path: Path) -> None:
    """axe-core finds nothing, on a wide screen, on a phone, and at 200 % zoom."""
    say = catalogue("en")
    red, note = png(RED, tmp_path / "red.png"), tmp_path / "note.jpg"
    note.write_text("a text file")
    with browse(1280, 800) as watch:
        page = watch.page
        page.goto(f"{server}en/")
        page.get_by_text(say("answer.waiting")).wait_for(timeout=60_000)
        assert violations(page) == []
        page.set_input_files("#fl-files input[type=file]", [red, note])
        page.locator("#fl-first .fl-card h2").wait_for(timeout=60_000)
        assert violations(page) == []
        page.get_by_role("tab", name=say("tab.many")).click()
        page.set_input_files("#fl-many-files input[type=file]", [red, note])
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


def test_review_from_the_keyboard(server: str, tmp_path: Path) -> None:
    say = catalogue("en")
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as members:
        for name, colour in (("red", RED), ("green", GREEN), ("grey", GREY)):
            members.write(png(colour, tmp_path / f"{name}.png"), f"../{name}.png")
    with browse(1280, 800) as watch:
        page = watch.page
        page.goto(f"{server}en/")
        page.get_by_role("tab", name=say("tab.many")).click(timeout=60_000)
        page.set_input_files("#fl-many-files input[type=file]", archive)
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
            page.set_input_files("#fl-files input[type=file]", photo)
        first.locator("#fl-first h2", has_text="ivory").wait_for(timeout=60_000)
        second.locator("#fl-first h2", has_text="slang").wait_for(timeout=60_000)
        second.close()


def test_a_photo_over_the_limit(tiny_model_path: Path, tmp_path: Path) -> None:
    from faunalens_app.web import Settings

    huge = tmp_path / "huge.png"
    Image.new("1", (30_000, 30_000)).save(huge)
    big = tmp_path / "big.jpg"
    big.write_bytes(bytes(3 * 2**20))
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    settings = Settings(default_desk(uploads), max_upload_mb=2)
    say = catalogue("en")
    with (
        serving(Classifier(Model(tiny_model_path)), uploads, settings) as address,
        browse(1280, 800) as watch,
    ):
        page = watch.page
        page.goto(f"{address}en/")
        page.get_by_text(say("answer.waiting")).wait_for(timeout=60_000)
        page.set_input_files("#fl-files input[type=file]", huge)
        page.locator("#fl-first", has_text="150 million pixels").wait_for(timeout=60_000)
        page.reload()
        page.get_by_text(say("answer.waiting")).wait_for(timeout=60_000)
        page.set_input_files("#fl-files input[type=file]", big)
        toast = page.get_by_text("exceed the maximum allowed size of 2.0 Mb")
        toast.filter(has_text="big.jpg").first.wait_for(timeout=60_000)
