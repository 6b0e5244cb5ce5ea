"""Case records, photos that are kept, and who may come in."""

import asyncio
import base64
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import plain
from PIL import Image

pytest.importorskip("sqlalchemy", reason="the extra `app` is not installed")
pytest.importorskip("gradio", reason="the extra `app` is not installed")
pytest.importorskip("pypdf", reason="the extra `app` is not installed")

import pypdf

from faunalens.cli import main
from faunalens.decisions import NOTHING, Store
from faunalens.decode import exif_facts
from faunalens.errors import FileError
from faunalens.labels import LANGUAGES, load_labels
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app.casemaker import Case, make_case
from faunalens_app.catalogue import catalogue
from faunalens_app.deciding import decide, issue_case
from faunalens_app.desk import Desk
from faunalens_app.guard import Door, Guard, basic_credentials
from faunalens_app.passwords import Passwords, line
from faunalens_app.seen import Bench, Seen
from faunalens_app.uploads import Sweeper

RED = (255, 0, 0)
Make = Callable[..., tuple[Case, Path]]


def photo_with_exif(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Fuji", "X100"
    exif.get_ifd(0x8769)[0x9003] = "2026:11:24 10:11:12"
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 51.0, 0.0), 3: "W", 4: (4.0, 21.0, 0.0)})
    plain(RED).save(path, exif=exif)
    return path


@pytest.fixture
def make(tiny_model: Model, tmp_path: Path) -> Make:
    def made(language: str = "en", choice: str = "confirmed") -> tuple[Case, Path]:
        path = photo_with_exif(tmp_path / "Foto œ 狮.jpg")
        bench, say = Bench.of(Classifier(tiny_model)), catalogue(language)
        seen = Seen.of(bench.classifier.classify(path, source=path.name), path, bench.spec)
        other = NOTHING if choice == "other" else None
        decision = decide(seen, choice, other, "Zähne ≥ 2, œuvre", "A. Peeters", say)
        return make_case([(seen, decision)], "A. Peeters", bench, say, tmp_path / "out"), path

    return made


def verify(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_case_record_in_each_language(make: Make, language: str) -> None:
    case, photo = make(language, choice="other")
    say = catalogue(language)
    reader = pypdf.PdfReader(case.pdf)
    text = " ".join("".join(page.extract_text() for page in reader.pages).split())
    held = json.loads(case.json.read_bytes())["content"]["photos"][0]
    for expected in (
        say("case.decision"), "A. Peeters", "Zähne ≥ 2, œuvre", "Loxodonta africana",
        held["record"]["sha256"], "2026:11:24 10:11:12", "tiny 0.0.1", say("decide.nothing"),
    ):  # fmt: skip
        assert expected in text, expected
    african = held["law"][0]
    english = load_labels().label("ivory").listings[0]
    assert african["taxon"] == "Loxodonta africana"
    assert african["note"] == say.law.get(english.note, english.note)
    assert (african["note"] == english.note) == (language == "en")
    for listing in held["law"]:
        for said in (listing["note"], listing["source"]):
            assert " ".join(said.split()) in text, said
    assert len(reader.pages[0].images) == 2, "the photo, and the evidence"
    assert (
        held["exif"]["GPSLatitude"] == "50.850000" and held["exif"]["GPSLongitude"] == "-4.350000"
    )
    assert base64.b64decode(held["file"]["base64"]) == photo.read_bytes()
    for file in (case.pdf, case.json):
        done = verify(file, "--photo", photo)
        assert done.exit_code == 0 and "Whole" in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda case: case["content"].update(officer="B"), "hash of its content"),
        (lambda case: case["content"]["photos"][0]["file"].update(base64="AAAA"), "its file was"),
        (lambda case: case["content"]["photos"][0]["file"].update(base64="?"), "its file was"),
        (
            lambda case: case["content"]["photos"][0]["evidence_picture"].update(sha256="0"),
            "evidence_picture was",
        ),
        (lambda case: case["content"]["photos"][0]["record"].update(sha256="0"), "another photo"),
        (lambda case: case["content"]["photos"].append(3), "photo 2: expected"),
    ],
)
def test_a_changed_record_is_not_whole(
    make: Make, change: Callable[[Any], None], said: str
) -> None:
    case, _ = make()
    raw = json.loads(case.json.read_bytes())
    change(raw)
    case.json.write_text(json.dumps(raw))
    done = verify(case.json)
    assert done.exit_code == 1 and said in done.stdout and "Whole:" not in done.stdout


@pytest.mark.parametrize(
    "data", [b"", b"text", b"[]", b'{"kind": "x"}', b"%PDF-1.7 broken", b"[" * 100_000]
)
def test_files_that_are_no_records(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "record"
    file.write_bytes(data)
    done = verify(file)
    assert done.exit_code == 1 and "Error:" in done.stderr and "Traceback" not in done.output


def test_the_store_knows_what_it_issued(make: Make, tiny_model: Model, tmp_path: Path) -> None:
    bench, say = Bench.of(Classifier(tiny_model)), catalogue("en")
    path = photo_with_exif(tmp_path / "a.jpg")
    seen = Seen.of(bench.classifier.classify(path, source="a.jpg"), path, bench.spec)
    url = f"sqlite:///{tmp_path / 'd.sqlite'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("faunalens_app.deciding.get_upload_folder", lambda: str(tmp_path))
        said, files = issue_case([seen], {}, "A", bench, say, Desk(Store(url)))
    assert said == "" and len(files) == 2
    for file in files:
        assert verify(file, "--store", url).exit_code == 0
    stranger, _ = make()
    done = verify(stranger.pdf, "--store", url)
    assert done.exit_code == 1 and "does not know" in done.stdout
    other = tmp_path / "other.jpg"
    plain((1, 2, 3)).save(other)
    assert verify(files[0], "--photo", other).exit_code == 1


def test_broken_exif_is_no_error() -> None:
    buffer = io.BytesIO()
    plain(RED).save(buffer, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert exif_facts(buffer.getvalue()) == {}
    assert exif_facts(b"no photo") == {}


def test_photos_are_kept_only_if_wanted(tmp_path: Path, tiny_model: Model) -> None:
    path = photo_with_exif(tmp_path / "a.jpg")
    classifier = Classifier(tiny_model)
    seen = Seen.of(classifier.classify(path), path, tiny_model.spec)
    Desk(Store("sqlite://")).keep_photo(seen)
    keep = tmp_path / "kept"
    desk = Desk(Store("sqlite://"), keep)
    desk.keep_photo(seen)
    desk.keep_photo(replace(seen, path=tmp_path / "gone.jpg"))
    sha256 = str(seen.record.sha256)
    assert [p.relative_to(keep).as_posix() for p in keep.rglob("*.jpg")] == [
        f"{sha256[:2]}/{sha256}.jpg"
    ]


def test_old_copies_are_deleted(tmp_path: Path) -> None:
    old, new = tmp_path / "a" / "old.jpg", tmp_path / "b" / "new.jpg"
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(b"x")
    for path in (old, old.parent):
        os.utime(path, (1000, 1000))
    (tmp_path / "link").symlink_to("/etc")
    sweeper = Sweeper(tmp_path, keep_s=600)
    assert sweeper.sweep() == 1 and not old.exists() and new.exists()
    assert Path("/etc").is_dir()


# ----------------------------------------------------------------------------------- coming in


def test_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faunalens_app.passwords._PAUSE_S", 0)
    done = CliRunner().invoke(main, ["password", "Zoë", "--password", "correct horse"])
    assert done.exit_code == 0
    file = tmp_path / "officers"
    file.write_text(f"# officers\n{done.stdout}\n{line('B', 'other words')}\n")
    file.chmod(0o640)
    known = Passwords(file)
    for _ in range(2):
        assert known.check("Zoë", "correct horse")
        assert not known.check("Zoë", "other words") and not known.check("C", "")
    file.chmod(0o644)
    with pytest.raises(FileError, match="chmod"):
        Passwords(file)
    file.chmod(0o600)
    for text in ("", "A:B", "A:md5:00:00", "A:scrypt:xx:00"):
        file.write_text(text)
        with pytest.raises(FileError, match="faunalens password"):
            Passwords(file)
    for arguments in (["a:b", "--password", "correct horse"], ["A", "--password", "short"]):
        assert CliRunner().invoke(main, ["password", *arguments]).exit_code == 2


def test_basic_credentials() -> None:
    value = base64.b64encode("Zoë:a:b".encode()).decode()
    assert basic_credentials(f"Basic {value}") == ("Zoë", "a:b")
    for wrong in ("", "Bearer x", "Basic ?", "Basic " + base64.b64encode(b"ab").decode()):
        assert basic_credentials(wrong) is None


def ask(door: Door, path: str, **headers: str) -> tuple[int, dict[bytes, bytes], str]:
    """Status, headers, and the path that came through to the app, if any."""
    came: list[str] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'<html lang="en"><head></head>'})

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": pairs}
    asyncio.run(Guard(app, door)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], dict(sent[0]["headers"]), came[0] if came else ""


def test_the_guard_asks_for_a_password() -> None:
    door = Door(check=lambda name, password: (name, password) == ("A", "b"), any_name=True)
    status, headers, came = ask(door, "/en/", host="faunalens.example")
    assert status == 401 and b"Basic" in headers[b"www-authenticate"] and not came
    right = base64.b64encode(b"A:b").decode()
    status, _, came = ask(door, "/en/", host="faunalens.example", authorization=f"Basic {right}")
    assert (status, came) == (200, "/en/")
    wrong = base64.b64encode(b"A:c").decode()
    assert ask(door, "/en/config", host="x", authorization=f"Basic {wrong}")[0] == 401


def test_the_guard_behind_a_proxy() -> None:
    door = Door(any_name=True, root_path="/faunalens")
    status, headers, _ = ask(door, "/", host="x", accept_language="fr")
    assert status == 307 and headers[b"location"] == b"/faunalens/fr/"
    for path in ("/faunalens/fr/", "/fr/"):
        status, headers, came = ask(door, path, host="x")
        assert (status, came) == (200, "/fr/")
        assert b"Path=/faunalens" in headers[b"set-cookie"]
    assert ask(Door(), "/en/", host="faunalens.example")[0] == 421
