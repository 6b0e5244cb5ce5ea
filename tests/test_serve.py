"""The web app: the answers, and the command that serves them."""

import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import png

import faunalens_app
from faunalens.cli import main
from faunalens.hints import Hint
from faunalens.labels import LANGUAGES
from faunalens.model import Model
from faunalens.pipeline import Classifier, Judgement
from faunalens_app.answer import Answer, answer
from faunalens_app.catalogue import catalogue
from faunalens_app.cli import is_loopback
from faunalens_app.seen import Bench, Seen

pytest.importorskip("gradio", reason="the extra `app` is not installed")

RED, GREY, PALE_RED = (255, 0, 0), (90, 90, 90), (140, 0, 0)
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def said(judgement: Judgement, model: Model, path: Path | None, language: str = "en") -> Answer:
    seen = replace(Seen.of(judgement, path, model.spec), at=NOW)
    return answer(seen, Bench.of(Classifier(model)), catalogue(language))


def judged(model: Model, photo: Path, language: str = "en") -> Answer:
    judgement = Classifier(model).classify(photo, source="name.jpg")
    return said(judgement, model, photo, language)


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
            ["The likeliest labels", "SHA-256", "24 Nov 2026, 12:30:00 (UTC+0000)"],
        ),
    ],
    ids=["alert", "review", "clear"],
)  # fmt: skip
def test_answers(
    tiny_model: Model, tmp_path: Path, colour: Any, first: list[str], more: list[str]
) -> None:
    shown = judged(tiny_model, png(colour, tmp_path / "p.png"))
    for html, expected in ((shown.first, first), (shown.more, more)):
        for sentence in expected:
            assert sentence in plain_text(html), sentence
    clear = colour == GREY
    assert "data:image/jpeg" in shown.first
    assert ('class="fl-heat"' in shown.first) is not clear
    assert ('type="range"' in shown.first) is not clear
    assert ("The law" in shown.more) is not clear


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("colour", [RED, PALE_RED, GREY])
def test_no_answer_calls_a_photo_illegal(
    tiny_model: Model, tmp_path: Path, language: str, colour: Any
) -> None:
    shown = judged(tiny_model, png(colour, tmp_path / "p.png"), language)
    words = plain_text(shown.first + shown.more).lower()
    assert not re.search("illegal|illégal|illegaal|contraband|smuggl", words)
    assert catalogue(language)("answer.not_proof").lower() in words or colour == GREY


def test_the_verdict_is_a_word_with_a_shape(tiny_model: Model, tmp_path: Path) -> None:
    """Never by colour alone."""
    shapes = set()
    for colour in (RED, PALE_RED, GREY):
        first = judged(tiny_model, png(colour, tmp_path / "p.png")).first
        badge = re.search(r'<span class="fl-badge.*?<path (.*?)/>.*?</svg>(.*?)</span>', first)
        assert badge and badge[2].strip()
        shapes.add(badge[1])
    assert len(shapes) == 3


def test_family_decides(tiny_model: Model, tmp_path: Path) -> None:
    path = png((0, 255, 0), tmp_path / "green.png")
    judgement = Classifier(tiny_model).classify(path)
    record = replace(judgement.record, rule="family live_reptile >= alert 0.9")
    text = plain_text(said(replace(judgement, record=record), tiny_model, path).first)
    assert "Live reptile, kind uncertain; most likely: Live snake." in text
    assert "Alert from 90.0 %" in text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "Not a photo this program knows"),
        (b"just text", "Not a photo this program knows"),
        (b"\xff\xd8\xff\xe0", "The photo is damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC, for example"),
    ],
)
def test_files_that_are_no_photos(
    tiny_model: Model, tmp_path: Path, data: bytes, expected: str
) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(data)
    shown = judged(tiny_model, path)
    assert "could not be judged" in shown.first and expected in plain_text(shown.first)
    assert "name.jpg" in shown.first and shown.more == ""


def test_a_copy_that_was_deleted(tiny_model: Model, tmp_path: Path) -> None:
    path = png(RED, tmp_path / "p.png")
    judgement = Classifier(tiny_model).classify(path)
    path.unlink()
    shown = said(judgement, tiny_model, path)
    assert "Looks like elephant-type ivory" in shown.first and "was deleted" in shown.first


def test_hints_and_novelty_are_shown(tiny_model: Model, tmp_path: Path) -> None:
    path = png(RED, tmp_path / "p.png")
    seen = Seen.of(Classifier(tiny_model).classify(path), path, tiny_model.spec)
    bench, say = Bench.of(Classifier(tiny_model)), catalogue("en")
    before = answer(seen, bench, say).first
    assert say("answer.novel") not in before and say("answer.may_be_more") not in before
    hinted = replace(seen, novel=True, may_be=(Hint("grey_parrot", "parrot", 0.83),))
    shown = plain_text(answer(hinted, bench, say).first)
    assert say("answer.novel") in shown and "(83.0 %)" in shown and "parrot" in shown


def test_names_are_escaped(tiny_model: Model, tmp_path: Path) -> None:
    path = png(GREY, tmp_path / "p.png")
    judgement = Classifier(tiny_model).classify(path, source="<img src=x onerror=alert(1)>.jpg")
    shown = said(judgement, tiny_model, path)
    assert "<img src=x" not in shown.more and "&lt;img src=x" in shown.more


@pytest.mark.parametrize(
    ("probability", "words"),
    [(1.0, "Very likely"), (0.8, "Likely"), (0.5, "Uncertain"), (0.2, "Unlikely")],
)
def test_chance_in_words(probability: float, words: str) -> None:
    assert catalogue("en").chance(probability) == words
    assert catalogue("en").chance(0.0) == "Very unlikely"


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
        assert done.exit_code == 2 and "--no-auth" in done.stderr


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
from faunalens_app.desk import Desk
from faunalens.decisions import Store
web.application(Classifier(Model(__import__("pathlib").Path(sys.argv[1]))), web.Settings(Desk(Store("sqlite://"))))
time.sleep(1)  # for threads
print("BUILT")
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GRADIO_")}
    command = [sys.executable, "-c", program, str(tiny_model_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=True)
    assert done.stdout.split() == ["BUILT"]
