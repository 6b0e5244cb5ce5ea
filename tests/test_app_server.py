"""The running web app, asked by programs: what it answers, and what it refuses."""

import hashlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import RED, plain, png
from PIL import Image
from serving import MARKS

from faunalens.cli import main
from faunalens_app import text

pytest.importorskip("gradio", reason="the extra `app` is not installed")
pytestmark = MARKS


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
