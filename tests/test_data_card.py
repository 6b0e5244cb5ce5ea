"""The data card, and what all commands of `faunalens-data` have in common."""

import builtins
import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from faunalens_data.card import card_text, write_card
from faunalens_data.cli import main
from faunalens_data.counts import count_strata
from faunalens_data.manifest import Row, fingerprint, write_manifest
from faunalens_data.sheet import samples

DAY = date(2026, 11, 24)
PLOTS = {
    "labels.png",
    "negatives.png",
    "largest_source.png",
    "sources.png",
    "rights.png",
    "photo_kinds.png",
    "sizes.png",
}


def row(number: int, labels: tuple[str, ...], source: str, **more: Any) -> Row:
    return Row(
        file=f"{number}.jpg",
        sha256=f"{number:064x}",
        labels=labels,
        negative_kind=None if labels else "goods",
        group=f"g{number // 2}",
        source=source,
        **{"width": 200, "height": 100 + number, **more},
    )


@pytest.fixture
def rows() -> list[Row]:
    return [
        *(row(number, ("ivory",), "museum") for number in range(8)),
        *(row(number, ("ivory", "turtle_shell"), "sh|op_$x$") for number in (8, 9)),
        *(row(number, (), f"s{number}", licence="CC0", rights="open") for number in range(10, 50)),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of folders with six drawn photos."""
    root = tmp_path / "photos"
    for number, name in enumerate(("ivory", "live_snake", "negative_goods")):
        for count in range(2):
            path = root / name / f"{count}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([number, count]).integers(0, 256, (40, 60, 3), np.uint8)
            Image.fromarray(pixels).save(path, "JPEG")
    return root


def test_counts(rows: list[Row]) -> None:
    strata = {stratum.name: stratum for stratum in count_strata(rows)}
    ivory = strata["ivory"]
    assert (ivory.pictures, ivory.groups, ivory.sources) == (10, 5, 2)
    assert (ivory.largest_source, ivory.largest, ivory.share) == ("museum", 8, 0.8)
    assert strata["turtle_shell"].pictures == 2
    assert strata["goods"].is_negative and not ivory.is_negative
    assert strata["rhino"].pictures == 0 and strata["rhino"].share == 0
    assert "coral" not in strata and "scene" not in strata  # reserved and kinds only if used


def test_card_says_what_is_there_and_where_it_is_thin(rows: list[Row]) -> None:
    text = card_text(rows, name="my set", day=DAY)
    assert text.startswith("# Data card: my set\n\nMade on 2026-11-24 ")
    assert "50 pictures, 25 groups" in text and "42 sources" in text
    assert f"`{fingerprint(rows)}`" in text
    assert "| ivory | 10 | 5 | 2 | museum | 80% |" in text
    assert "| 12 other sources | 12 |" in text
    assert r"| sh\|op_$x$ | 2 |" in text
    assert "|  | open | unstated | all |" in text and "| CC0 | 40 |" in text
    assert "| ivory | 0 | 10 | 10 |" in text and "| pictures | 40 | 10 | 50 |" in text
    limits = text.partition("## Known limits")[2]
    assert "No picture at all: pangolin_scales, pangolin, live_snake" in limits
    assert "- ivory: 80% of the pictures are from one source (museum)" in limits
    assert "50 pictures with a longest side under 224 px" in limits
    assert "a false-positive rate below 15.00% cannot be shown" in limits


def test_card_and_plots_are_written(tmp_path: Path, rows: list[Row]) -> None:
    written = write_card(rows, tmp_path / "a" / "card", name="x", day=DAY)
    assert written[0].name == "DATA_CARD.md"
    assert {path.name for path in written[1:]} == PLOTS
    text = written[0].read_text()
    for path in written[1:]:
        with Image.open(path) as image:
            assert image.format == "PNG" and image.width > 500
        assert f"]({path.name})" in text


@pytest.mark.parametrize("which", [slice(0, 1), slice(10, 11)], ids=["one label", "one negative"])
def test_card_of_one_picture(tmp_path: Path, rows: list[Row], which: slice) -> None:
    write_card(rows[which], tmp_path / "card", name="x", day=DAY)


def test_card_without_sizes(tmp_path: Path, rows: list[Row]) -> None:
    bare = [row(number, ("ivory",), "s", width=None, height=None) for number in range(3)]
    write_card(bare, tmp_path / "card", name="x", day=DAY)
    assert "does not record sizes" in (tmp_path / "card" / "DATA_CARD.md").read_text()


def test_samples_come_from_many_sources() -> None:
    crowd = [row(number, ("ivory",), "museum") for number in range(30)]
    crowd += [row(number, ("ivory",), f"shop{number}") for number in range(30, 33)]
    chosen = samples(crowd)["ivory"]
    assert len(chosen) == 8
    assert len({row.source for row in chosen}) == 4
    assert samples(crowd[::-1])["ivory"] == chosen


def test_command_writes_no_picture_unless_told(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "card"
    command = ["card", str(folder), "--out", str(out)]
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0, answer.output
    assert {path.name for path in out.iterdir()} == {*PLOTS, "DATA_CARD.md"}
    assert (out / "DATA_CARD.md").read_text().startswith("# Data card: photos\n")
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, again.stdout) == (2, "")

    answer = CliRunner().invoke(main, [*command, "--overwrite", "--contact-sheet"])
    assert answer.exit_code == 0, answer.output
    assert "do not publish it" in answer.stderr
    with Image.open(out / "contact_sheet.jpg") as sheet:
        assert sheet.size == (1024, 3 * 144 + 16)


def test_contact_sheet_names_the_picture_it_cannot_read(tmp_path: Path, rows: list[Row]) -> None:
    write_manifest(tmp_path / "m.csv", rows)
    command = ["card", str(tmp_path / "m.csv"), "--out", str(tmp_path / "c"), "--contact-sheet"]
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 1
    assert ".jpg: no such file; run `faunalens-data check`" in answer.stderr


COMMANDS: dict[str, list[str]] = {
    "check": [],
    "dedupe": ["--out", "o.csv"],
    "split": ["--out", "o.csv"],
    "card": ["--out", "o"],
}


def test_table_below_has_every_command() -> None:
    assert set(COMMANDS) | {"from-verdicts"} == set(main.commands)  # that one reads no data set


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = main.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_a_folder_of_folders(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, [name, str(folder), *COMMANDS[name]])
    assert answer.exit_code == 0, answer.output


def _png(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path, "PNG")


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "png": _png,
    "latin-1": lambda path: path.write_bytes("file,größe\n".encode("latin-1")),
    "no rows": lambda path: path.write_text("file,sha256,labels,negative_kind,group,source\n"),
    "folder without photos": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_fails_in_one_line(
    name: str, broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    BROKEN[broken](tmp_path / "data")
    answer = CliRunner().invoke(main, [name, "data", *COMMANDS[name]])
    assert answer.exit_code == 1, answer.output
    assert isinstance(answer.exception, SystemExit)  # anything else would be a traceback
    if name != "check":
        assert answer.stderr.startswith("Error: data") and answer.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("name", COMMANDS)
def test_path_that_is_not_there_is_wrong_usage(name: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, [name, str(tmp_path / "nothing"), *COMMANDS[name]])
    assert answer.exit_code == 2


@pytest.mark.parametrize("name", ["dedupe", "split", "card"])
def test_overrides_are_applied(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["sha256,action,labels,negative_kind,reason"]
    for path in sorted(folder.rglob("*.jpg")):
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()},drop,,,")
    Path("some.csv").write_text("\n".join(lines[:2]))
    Path("all.csv").write_text("\n".join(lines))
    command = [name, str(folder), *COMMANDS[name], "--overrides"]
    answer = CliRunner().invoke(main, [*command, "all.csv"])
    assert answer.exit_code == 1
    assert "drops every picture" in answer.stderr
    answer = CliRunner().invoke(main, [*command, "some.csv"])
    assert answer.exit_code == 0, answer.output
    written = Path("o/DATA_CARD.md" if name == "card" else "o.csv").read_text()
    if name == "card":
        assert "5 pictures" in written
    else:
        assert len(written.splitlines()) == 6


@pytest.mark.parametrize("name, module", [("dedupe", "imagehash"), ("card", "matplotlib.figure")])
def test_missing_extra_is_named(
    name: str, module: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    real = builtins.__import__

    def without(wanted: str, *rest: Any) -> Any:
        if wanted == module:
            raise ModuleNotFoundError(f"No module named {wanted!r}")
        return real(wanted, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    answer = CliRunner().invoke(main, [name, str(folder), *COMMANDS[name]])
    assert answer.exit_code == 1
    assert answer.stderr.endswith("Run: pip install 'faunalens[data]'\n")


def test_package_is_light_to_import() -> None:
    code = (
        "import sys, faunalens_data, faunalens_data.cli;"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'imagehash', 'onnxruntime', 'timm'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"
