"""`faunalens scan --engine ray`: the records of one machine, from several, whatever dies."""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import plain

from faunalens.batch_worker import Settings
from faunalens.cli import main
from faunalens.cluster.part import Job, PartJudge
from faunalens.cluster.plan import Plan, make_plan, part_name, read_list, read_plan
from faunalens.cluster.run import judge_parts
from faunalens.cluster.scan import scan_on_cluster
from faunalens.decide import policy
from faunalens.errors import FailureKind, FaunalensError, FileError, ModelError, UsageError
from faunalens.inputs import Item, find_photos
from faunalens.model import Model
from faunalens.output import Form
from faunalens.output_formats import read_file
from faunalens.record import Failure, Record

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (140, 0, 0), (90, 90, 90)]


def photos(folder: Path, count: int) -> Path:
    """Small pictures of changing colour; every tenth is no photo."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:04}.png"
        if number % 10 == 9:
            path.write_text("no photo")
        else:
            plain(COLOURS[number % len(COLOURS)], 40 + number, 40).save(path)
    return folder


def rows_of(out: Path) -> list[dict[str, Any]]:
    parts = sorted(out.glob("part-*"))
    return [record.to_dict() for part in parts for record in read_file(part)]


@pytest.fixture
def job(tmp_path: Path, tiny_model: Model) -> Callable[..., Job]:
    def make(plan: Plan, **changes: Any) -> Job:
        values: dict[str, Any] = {
            "out": tmp_path / "out",
            "kind": "jsonl",
            "plan": plan,
            "labels": tiny_model.spec.labels,
            "options": {},
            "program": "0",
            "model": tiny_model.identity,
            "model_path": tiny_model.path,
            "rules": policy(tiny_model.spec),
            "embeddings": False,
            "time_limit_s": 30.0,
            "memory_mb": None,
        }
        return Job(**{**values, **changes})

    (tmp_path / "out").mkdir()
    return make


def scan(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["scan", *map(str, arguments)])


# ---------------------------------------------------------------------------- lists and parts


def test_lists_hold_what_items_say(tmp_path: Path) -> None:
    items = [
        Item("a\udcff.jpg", ad="1", columns={"seller": "Ann", "price": 5}),
        Item("b.jpg", failure=Failure(FailureKind.MISSING, "no such row")),
        *(Item(f"{n}.jpg") for n in range(5)),
    ]
    plan = make_plan(tmp_path, items, 3)
    assert (plan.parts, plan.photos, plan.carried) == (3, 7, ("seller", "price"))
    assert [plan.rows(number) for number in range(3)] == [3, 3, 1]
    assert read_plan(tmp_path) == plan
    assert [item for number in range(3) for item in read_list(tmp_path, number)] == items
    with pytest.raises(UsageError, match="not members of an archive"):
        make_plan(tmp_path, [Item("x.tar/a.jpg", b"data")], 3)
    assert read_plan(tmp_path) is None, "an unfinished plan is none"
    with pytest.raises(FileError, match="do all machines see this folder"):
        next(read_list(tmp_path, 9))


def test_a_part_is_judged_once(tmp_path: Path, job: Any) -> None:
    names = [str(path) for path in sorted(photos(tmp_path / "photos", 12).iterdir())]
    items = [Item(name, ad=f"ad {n}", columns={"seller": n}) for n, name in enumerate(names)]
    judge = PartJudge(job(make_plan(tmp_path / "out", items, 10)))
    try:
        counts = judge.judge(0)
        assert counts == {"alert": 6, "review": 2, "clear": 1, "failed": 1}
        rows = rows_of(tmp_path / "out")
        assert [row["source"] for row in rows] == names[:10]
        assert [row["ad"] for row in rows] == [f"ad {n}" for n in range(10)]
        assert rows[3]["columns"] == {"seller": 3}
        Path(names[0]).unlink()
        assert judge.judge(0) == counts and rows_of(tmp_path / "out") == rows
    finally:
        judge.close()
    assert not list((tmp_path / "out").glob("*.tmp"))


def test_another_model_is_refused(tmp_path: Path, job: Any) -> None:
    wrong = job(Plan(1, 1, 1), model={"name": "m", "version": "1", "sha256": "ab" * 32})
    with pytest.raises(ModelError, match="has another model"):
        PartJudge(wrong)
    with pytest.raises(ModelError, match="cannot read the model"):
        PartJudge(job(Plan(1, 1, 1), model_path=tmp_path / "gone.onnx"))


def test_a_full_disk_is_said(tmp_path: Path, job: Any) -> None:
    judge = PartJudge(job(make_plan(tmp_path / "out", [Item("a.jpg")], 10)))
    try:
        (tmp_path / "out").chmod(0o500)
        if os.access(tmp_path / "out", os.W_OK):  # root writes anywhere
            (tmp_path / "out" / part_name(0, "jsonl")).mkdir()
            (tmp_path / "out" / part_name(0, "jsonl") / "x").touch()
            pytest.skip("this user may write to any folder")
        with pytest.raises(FileError, match="make room"):
            judge.judge(0)
    finally:
        (tmp_path / "out").chmod(0o700)
        judge.close()
