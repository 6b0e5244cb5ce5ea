"""Officers' decisions: kept in SQLite and in PostgreSQL, and turned into training rows."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import plain

pytest.importorskip("sqlalchemy", reason="the extra `app` is not installed")

from faunalens.decisions import Choice, OfficerDecision, Store, StoreError, default_url
from faunalens.errors import UsageError
from faunalens_data.cli import main
from faunalens_data.manifest import read_manifest

AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
DECISION = OfficerDecision(
    choice=Choice.CONFIRMED,
    officer="A. Peeters",
    sha256="a" * 64,
    source="photo \\udcff.jpg",
    verdict="alert",
    label="ivory",
    probability=0.97,
    rule="ivory >= alert 0.5",
    model_name="tiny",
    model_version="0.0.1",
    model_sha256="b" * 64,
    width=640,
    height=480,
    note="Schreger lines seen: 120° ✓",
    at=AT,
)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL of our own (Debian's package), stopped afterwards."""
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("NOT TESTED with PostgreSQL: it is missing (apt-get install postgresql)")
    programs = found[-1].parent
    as_user: list[str] = []
    folder = tmp_path_factory.mktemp("postgres")
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        folder = Path(subprocess.check_output([*as_user, "mktemp", "-d"], text=True).strip())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = folder / "data"
    make = [programs / "initdb", "-D", data, "-U", "faunalens", "-A", "trust", "-N"]
    subprocess.run([*as_user, *map(str, make)], check=True, capture_output=True, cwd="/")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -F"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    start = [*control, "-o", options, "-l", str(folder / "log"), "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd="/")
    try:
        yield f"postgresql://faunalens@127.0.0.1:{port}/postgres"
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'new folder' / 'decisions.sqlite'}"
    else:
        url = request.getfixturevalue("postgres")
    opened = Store(url)
    yield opened
    opened.close()


def test_decisions_are_kept(store: Store) -> None:
    other = replace(DECISION, id="2", choice=Choice.OTHER, other_label="turtle_shell")
    later = replace(DECISION, id="3", choice=Choice.UNSURE, at=AT.replace(hour=12))
    for one in (later, DECISION, other, DECISION):
        store.save(one)
    kept = list(store.decisions())
    assert sorted(kept[:2], key=lambda d: d.id) == sorted([other, DECISION], key=lambda d: d.id)
    assert kept[2:] == [later], "oldest first, and each once"
    assert [one.agrees for one in (DECISION, other, later)] == [True, False, None]


def test_case_records_are_remembered(store: Store) -> None:
    assert not store.is_issued("c" * 64)
    store.issue("c" * 64, "A. Peeters")
    store.issue("c" * 64, "A. Peeters")
    assert store.is_issued("c" * 64)


def test_a_database_that_is_down() -> None:
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = Store(f"postgresql://user:secret@127.0.0.1:{port}/none")
    with pytest.raises(StoreError, match="failed") as failed:
        store.save(DECISION)
    assert "secret" not in str(failed.value) and "\n" not in str(failed.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        list(Store(f"sqlite:///{broken}").decisions())
    with pytest.raises(StoreError):
        Store(f"sqlite:///{broken}/below.sqlite").save(DECISION)


@pytest.mark.parametrize("url", ["", "nonsense", "nosuch://x/y"])
def test_urls_that_cannot_be_understood(url: str) -> None:
    with pytest.raises(UsageError, match="database"):
        Store(url)


def test_decisions_as_plain_values() -> None:
    assert OfficerDecision.from_dict(DECISION.to_dict()) == DECISION
    for change in ({"choice": "maybe"}, {"at": "never"}, {"extra": 1}, {"other_label": "ivory"}):
        with pytest.raises(ValueError):
            OfficerDecision.from_dict({**DECISION.to_dict(), **change})
    with pytest.raises(ValueError, match="characters"):
        replace(DECISION, note="x" * 5000)


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_url() == f"sqlite:///{tmp_path}/faunalens/decisions.sqlite"


def test_rows_for_the_next_training(tmp_path: Path) -> None:
    photos, database = tmp_path / "photos", tmp_path / "d.sqlite"
    store = Store(f"sqlite:///{database}")

    def decide(letter: str, choice: Choice, officer: str = "A", hour: int = 8, **more: str) -> None:
        decision = replace(
            DECISION,
            id=f"{letter}{officer}{hour}",
            sha256=letter * 64,
            choice=choice,
            officer=officer,
            at=AT.replace(hour=hour),
            other_label=more.get("label"),
        )
        store.save(decision)
        folder = photos / (letter * 2)
        folder.mkdir(parents=True, exist_ok=True)
        if letter != "f":
            plain((1, 2, 3)).save(folder / f"{letter * 64}.png")

    decide("a", Choice.CONFIRMED)
    decide("b", Choice.REJECTED)
    decide("c", Choice.OTHER, label="turtle_shell")
    decide("d", Choice.UNSURE)
    decide("e", Choice.CONFIRMED)
    decide("e", Choice.REJECTED, officer="B")
    decide("f", Choice.CONFIRMED)
    decide("9", Choice.REJECTED)
    decide("9", Choice.CONFIRMED, hour=9)  # the same officer thought again
    decide("8", Choice.OTHER, label="nothing")
    store.close()
    out = tmp_path / "manifest.csv"
    command = ["from-verdicts", str(database), "--photos", str(photos), "--out", str(out)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    rows = {row.sha256[0]: row for row in read_manifest(out)}
    assert {key: row.labels for key, row in rows.items()} == {
        "a": ("ivory",), "b": (), "c": ("turtle_shell",), "9": ("ivory",), "8": (),
    }  # fmt: skip
    assert rows["b"].negative_kind == "other" and rows["a"].source == "officers"
    assert (photos / rows["a"].file).is_file()
    for reason in ("unsure", "disagree", "not kept"):
        assert reason in done.stderr
    assert CliRunner().invoke(main, command).exit_code != 0, "nothing is overwritten unasked"
