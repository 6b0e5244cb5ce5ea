"""Tables of adverts and standard input."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from adverts import ARCHIVES, GREY, RED, write_table
from test_scan import rows, run


@pytest.fixture
def adverts(tmp_path: Path) -> list[dict[str, Any]]:
    """Rows of a table, and the photos beside it."""
    (tmp_path / "img").mkdir()
    for number in range(6):
        (tmp_path / "img" / f"{number}.png").write_bytes(RED if number % 3 == 1 else GREY)
    return [
        {"ad": f"ad{number // 2}", "title": f"Ivory, nr {number}", "image": f"img/{number}.png"}
        for number in range(6)
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_table_of_adverts_joins_back(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path, name: str, kind: str
) -> None:
    from faunalens.output import read_results

    table = write_table(tmp_path / name, adverts)
    out, ads = tmp_path / f"r.{kind}", tmp_path / f"ads.{kind}"
    result = run(
        "scan", table, "--ad-column", "ad", "--out", out, "--by-ad", ads,
        "--model", tiny_model_path, "--workers", 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    records = list(read_results(out))
    assert [record.ad for record in records] == [row["ad"] for row in adverts]
    assert [record.columns for record in records] == [{"title": row["title"]} for row in adverts]
    verdicts = [str(record.verdict) for record in records]
    assert verdicts == ["clear", "alert", "clear", "clear", "alert", "clear"]
    assert "3 adverts" in result.stderr
    if kind == "jsonl":
        rolled = [json.loads(line) for line in ads.read_text().splitlines()]
        assert [(r["ad"], r["verdict"], r["photos"], r["alert"]) for r in rolled] == [
            ("ad0", "alert", 2, 1), ("ad1", "clear", 2, 0), ("ad2", "alert", 2, 1),
        ]  # fmt: skip
        assert rolled[0]["source"].endswith("img/1.png")
        assert [r["shared"] for r in rolled] == [2, 1, 2]


def test_rows_that_cannot_be_read_name_their_line(tmp_path: Path, tiny_model_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(RED)
    table = tmp_path / "t.csv"
    table.write_bytes(
        b'ad,image\n1,a.png\n2\n3,a.png,x\n4,\n"5\nb",a.png\n\n\xff6,a.png\n7,none.png\n'
    )
    options = ("--model", tiny_model_path, "--workers", 0)
    result = run("scan", table, "--ad-column", "ad", *options)
    found = [(row["ad"], row["verdict"] or row["failure"]["message"]) for row in rows(result)]
    assert found == [
        ("1", "alert"),
        (None, "line 3 of the table: 1 cells for 2 columns"),
        (None, "line 4 of the table: 3 cells for 2 columns"),
        ("4", "line 5 of the table names no photo"),
        ("5\nb", "alert"),
        ("\udcff6", "alert"),
        ("7", "no such file"),
    ]
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"image": ["a.png", "a.png"]}\nnot JSON\n[1]\n{"image": 5}\n')
    found = [
        (row["source"].rpartition("/")[2], row["verdict"] or row["failure"]["kind"])
        for row in rows(run("scan", lines, *options))
    ]
    assert found == [
        ("a.png", "alert"), ("a.png", "alert"), ("t.jsonl, line 2", "unsupported"),
        ("t.jsonl, line 3", "unsupported"), ("t.jsonl, line 4", "missing"),
    ]  # fmt: skip


def test_photos_inside_a_parquet_table(tmp_path: Path, tiny_model_path: Path) -> None:
    table = write_table(
        tmp_path / "t.parquet",
        [{"id": 1, "image": {"bytes": RED, "path": "x.png"}, "thumb": GREY},
         {"id": 2, "image": {"bytes": GREY, "path": None}, "thumb": GREY}],
    )  # fmt: skip
    result = rows(
        run("scan", table, "--ad-column", "id", "--model", tiny_model_path, "--workers", 0)
    )
    assert [(row["ad"], row["verdict"], row["source"].rpartition("/")[2]) for row in result] == [
        ("1", "alert", "x.png"), ("2", "clear", "t.parquet, row 2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["t.csv", "--image-column", "img"], 2, "no column 'img'; it has ad, title, image"),
        (["t.csv", "--ad-column", "id"], 2, "no column 'id'; it has ad, title, image"),
        (["odd.csv"], 2, "which column of odd.csv holds the photos? Name it with --image-column"),
        (["t.csv", "--by-ad", "a.csv"], 2, "--by-ad needs --out and --ad-column"),
        (["img", "--by-ad", "a.csv", "--ad-column", "ad", "--out", "r.jsonl"], 1, "no photo belon"),
        (["torn.parquet"], 1, "cannot read torn.parquet"),
        (["t.csv", "--by-ad", "a.doc", "--ad-column", "ad", "--out", "x"], 2, "cannot tell the fo"),
    ],
)
def test_one_line_says_what_is_wrong(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path,
    monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv", adverts)
    Path("odd.csv").write_text("a,b\n1,2\n")
    Path("torn.parquet").write_bytes(b"PAR1 and nothing else")
    result = run("scan", *words, "--model", tiny_model_path, "--workers", 0)
    assert (result.exit_code, "Traceback" in result.output) == (code, False), result.output
    assert message in result.stderr


@pytest.mark.parametrize("name", ["t.csv", "a.tar.gz", "a.zip"])
def test_resume_within_tables_and_archives(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path, name: str
) -> None:
    from faunalens.output_formats import read_file

    path = (
        write_table(tmp_path / name, adverts)
        if name == "t.csv"
        else ARCHIVES[name](tmp_path / name)
    )
    options = ["--model", tiny_model_path, "--workers", 0, "--quiet"]
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    run("scan", path, *options, "--out", whole)
    run("scan", path, *options, "--out", torn)
    lines = torn.read_bytes().splitlines(keepends=True)
    (tmp_path / "torn.jsonl.part").write_bytes(b"".join(lines[:2]) + lines[2][:50])
    (tmp_path / "torn.jsonl.manifest.json").rename(tmp_path / "torn.jsonl.part.json")
    torn.unlink()
    run("scan", path, *options, "--out", torn, "--resume")
    assert list(read_file(torn)) == list(read_file(whole))


def test_dedupe_judges_identical_files_once(
    adverts: list[dict[str, Any]], tmp_path: Path, tiny_model_path: Path
) -> None:
    table = write_table(tmp_path / "t.csv", adverts * 2)
    options = ("--model", tiny_model_path, "--ad-column", "ad")
    each = rows(run("scan", table, *options, "--workers", 0))
    for workers in (0, 2):
        once = rows(run("scan", table, *options, "--workers", workers, "--dedupe"))
        firsts = [row.pop("duplicate_of", None) for row in once]
        assert once == each
        assert [first and first[-5:] for first in firsts[:6]] == [
            None, None, "0.png", "0.png", "1.png", "0.png",
        ]  # fmt: skip
        assert firsts.count(None) == 2


def test_paths_on_standard_input(tmp_path: Path, tiny_model_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    names = ["b.png", "a ü.png", "sub/c.png", "odd\udcff.png"]
    for name in names:
        (tmp_path / name).write_bytes(RED)
    listed = "\n".join(["b.png", "", "a ü.png\r", "sub", "none.png", "odd\udcff.png"])
    done = subprocess.run(
        [sys.executable, "-m", "faunalens", "scan", "-", "--model", tiny_model_path,
         "--workers", "0", "--quiet"],
        cwd=tmp_path, input=listed.encode("utf-8", "surrogateescape"), capture_output=True,
        check=False,
    )  # fmt: skip
    sources = [json.loads(line)["source"] for line in done.stdout.splitlines()]
    assert sources == ["b.png", "a ü.png", "sub/c.png", "none.png", "odd\udcff.png"], done.stderr
