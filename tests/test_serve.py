"""The web app: the answers, and a server that talks to nobody else."""

import asyncio
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browse
from click.testing import CliRunner
from conftest import plain
from PIL import Image

import faunalens_app
from faunalens.cli import main
from faunalens.labels import load_labels
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app import answer, text
from faunalens_app.cli import is_loopback

pytest.importorskip("gradio", reason="the extra `app` is not installed")
# gradio counts its calls with pandas, in a way that pandas has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")

RED, GREY, PALE_RED = (255, 0, 0), (90, 90, 90), (140, 0, 0)
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def judged(model: Model, photo: Path | bytes) -> answer.Answer:
    classifier = Classifier(model)
    judgement = classifier.classify(photo, source="name.jpg")
    return answer.answer(judgement, model.spec, classifier.rules, load_labels(), NOW)


def png(colour: tuple[int, int, int], path: Path) -> Path:
    plain(colour).save(path, "PNG")
    return path


def plain_text(html: str) -> str:
    """Text as a reader sees it."""
    inline = re.sub("</?(span|b|i|em|code)\\b[^>]*>", "", html)
    return " ".join(unescape(re.sub("<[^>]*>", " ", inline)).split())


# ------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("colour", "first", "more"),
    [
        (
            RED,
            ["Alert: look now", "Looks like elephant-type ivory", "Very likely: > 99.9 %",
             "Alert from 90.0 %, review from 50.0 %", "captive breeding", "Where it shows"],
            ["Schreger", "mammoth ivory", "Loxodonta africana", "CITES Appendix I/II",
             "not verified", "What else it could be", "Pangolin scales", "tiny 0.0.1"],
        ),
        (
            PALE_RED,
            ["Review: worth a look", "May be ivory: worth a look", "Uncertain:"],
            ["Schreger"],
        ),
        (
            GREY,
            ["Clear", "Nothing protected recognised", "50.0 %", "does not show"],
            ["The likeliest labels", "SHA-256", "2026-11-24 12:30:00+00:00"],
        ),
    ],
    ids=["alert", "review", "clear"],
)  # fmt: skip
def test_answers(
    tiny_model: Model, tmp_path: Path, colour: Any, first: list[str], more: list[str]
) -> None:
    said = judged(tiny_model, png(colour, tmp_path / "p.png"))
    for html, expected in ((said.first, first), (said.more, more)):
        for sentence in expected:
            assert sentence in plain_text(html), sentence
    clear = colour == GREY
    assert ("data:image/jpeg" in said.first) is not clear
    assert ("The law" in said.more) is not clear


def test_family_decides(tiny_model: Model, tmp_path: Path) -> None:
    classifier = Classifier(tiny_model)
    judgement = classifier.classify(png((0, 255, 0), tmp_path / "green.png"))
    record = replace(judgement.record, rule="family live_reptile >= alert 0.9")
    judgement = replace(judgement, record=record)
    said = answer.answer(judgement, tiny_model.spec, classifier.rules, load_labels(), NOW)
    assert "Live reptile, kind uncertain; most likely: Live snake." in plain_text(said.first)
    assert "Alert from 90.0 %" in plain_text(said.first)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "The file is empty"),
        (b"just text", "Not a photo this program knows"),
        (b"\xff\xd8\xff\xe0", "The photo is damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC is not supported"),
    ],
)
def test_files_that_are_no_photos(tiny_model: Model, data: bytes, expected: str) -> None:
    said = judged(tiny_model, data)
    assert text.FAILED in said.first and expected in plain_text(said.first)
    assert ".." not in plain_text(said.first).replace("...", "") and said.more == ""


def test_names_are_escaped(tiny_model: Model) -> None:
    classifier = Classifier(tiny_model)
    photo = np.zeros((9, 9, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    judgement = classifier.classify(buffer.getvalue(), source="<img src=x onerror=alert(1)>.jpg")
    said = answer.answer(judgement, tiny_model.spec, classifier.rules, load_labels(), NOW)
    assert "<img src=x" not in said.more and "&lt;img src=x" in said.more


@pytest.mark.parametrize(
    ("probability", "words"),
    [(1.0, "Very likely"), (0.8, "Likely"), (0.5, "Uncertain"), (0.2, "Unlikely")],
)
def test_chance_in_words(probability: float, words: str) -> None:
    assert text.chance(probability) == words
    assert text.chance(0.0) == "Very unlikely"


# ------------------------------------------------------------------------------------- command


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_only_this_computer(host: str, own: bool) -> None:
    assert is_loopback(host) is own
    if not own:
        done = CliRunner().invoke(main, ["serve", "--host", host])
        assert done.exit_code == 2 and "no password" in done.stderr


@pytest.fixture
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` changes its process; put that back afterwards."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.mark.usefixtures("quiet_process")
def test_without_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "faunalens_app.web", raising=False)
    monkeypatch.delattr(faunalens_app, "web", raising=False)
    done = CliRunner().invoke(main, ["serve", "--no-open", "--port", "0"])
    assert done.exit_code == 1
    assert "(gradio)" in done.stderr and "pip install 'faunalens[app]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("quiet_process")
def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = CliRunner().invoke(main, ["serve", "--no-open", "--port", str(port)])
    assert done.exit_code == 1 and f"port {port}" in done.stderr and "--port" in done.stderr


@pytest.mark.slow
def test_building_the_screen_uses_no_network(tiny_model_path: Path) -> None:
    """In a fresh interpreter, so that what importing gradio does is seen too."""
    program = """
import os, socket, sys, time
def refuse(*arguments, **options):
    print("NETWORK", arguments, flush=True); raise OSError("no network in this test")
for name in ("connect", "connect_ex", "sendto"): setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app import web
web.application(web.build(Classifier(Model(__import__("pathlib").Path(sys.argv[1])))))
time.sleep(1)  # for threads
print("BUILT")
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GRADIO_")}
    command = [sys.executable, "-c", program, str(tiny_model_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=True)
    assert done.stdout.split() == ["BUILT"]


# -------------------------------------------------------------------------------------- server


@pytest.fixture(scope="module")
def server(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a free port, in a thread; its address."""
    uploads = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        import uvicorn

        from faunalens_app import web

        listener = socket.create_server(("127.0.0.1", 0))

        async def make() -> Any:  # gradio makes an event loop, and leaves it, where none runs
            return web.application(web.build(Classifier(Model(tiny_model_path))))

        application = asyncio.run(make())
        running = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        running.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
        assert not [path for path in uploads.rglob("*") if path.is_file()], "uploads are deleted"


def call(server: str, data: object) -> tuple[str, Any]:
    """The function as a program without gradio calls it: the event, and what came with it."""
    body = json.dumps({"data": [data]}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server}gradio_api/call/judge", body, headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        number = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{server}gradio_api/call/judge/{number}", timeout=20) as reply:
        event, content = reply.read().decode().strip().splitlines()[-2:]
    return event.removeprefix("event: "), json.loads(content.removeprefix("data: "))


@pytest.mark.slow
def test_a_photo_through_the_server(server: str, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file  # type: ignore[import-untyped]

    rotated = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    plain(RED, 80, 40).save(rotated, exif=exif)
    note = tmp_path / "note.jpg"
    note.write_text("a text file")
    client = Client(server, verbose=False, download_files=False)
    try:
        first, more = client.predict(handle_file(rotated), api_name="/judge")
        assert "Looks like elephant-type ivory" in first
        assert hashlib.sha256(rotated.read_bytes()).hexdigest() in more, "the file as it came"
        assert "40 x 80 px" in more
        first, more = client.predict(handle_file(note), api_name="/judge")
        assert "Not a photo this program knows" in first and more == ""
        first, more = client.predict(None, api_name="/judge")
        assert text.WAITING in first and more == ""
    finally:
        client.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["http://127.0.0.1:9/a.jpg", "https://example.com/a.jpg", "/etc/hostname"]
)
def test_links_and_other_files_are_refused(server: str, path: str) -> None:
    event, content = call(server, {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert event == "error"
    assert "Traceback" not in str(content)


@pytest.mark.slow
def test_the_page_names_no_other_machine(server: str) -> None:
    with urllib.request.urlopen(server, timeout=20) as reply:
        policy = reply.headers["content-security-policy"]
        page = reply.read().decode()
    assert "default-src 'self'" in policy and "http" not in policy
    assert "fonts.googleapis" not in page and "cdnjs" not in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("", {"Host": "evil.example"}, 421),
        ("", {"Host": "127.0.0.1.evil.example"}, 421),
        ("gradio_api/info", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("gradio_api/file=https://example.com/", {}, 404),
        ("gradio_api/file=HTTPS:/example.com/", {}, 403),  # gradio: no such upload
        ("gradio_api/file=/etc/hostname", {}, 403),
        ("gradio_api/proxy=https://example.com/", {}, 404),
        ("gradio_api/vibe-code", {}, 404),
        ("monitoring", {}, 404),
        ("docs", {}, 404),
    ],
)
def test_refused_addresses(server: str, path: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(server + path, headers=headers), timeout=20)
    assert refused.value.code == status
    refused.value.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser(server: str, tmp_path: Path, width: int) -> None:
    photo = png(RED, tmp_path / "red.png")
    with browse(width, 800) as watch:
        page = watch.page
        page.goto(server)
        page.get_by_text(text.WAITING).wait_for(timeout=30_000)
        page.set_input_files("#fl-photo input[type=file]", photo)
        page.get_by_text("Looks like elephant-type ivory").wait_for(timeout=30_000)
        page.get_by_text("Loxodonta africana").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.screenshot(path=tmp_path / "app.png", full_page=True)
        page.get_by_label("Clear").or_(page.get_by_label("Remove")).first.click()
        page.get_by_text(text.WAITING).wait_for(timeout=30_000)
        assert page.get_by_text("Loxodonta africana").count() == 0
        others = [u for u in watch.requests if not u.startswith((server, "data:", "blob:"))]
        assert others == [] and watch.errors == []
    with Image.open(tmp_path / "app.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(1 << 24) or []) > 50, "the page is not blank"
