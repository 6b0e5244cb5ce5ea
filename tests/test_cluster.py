"""`faunalens scan --engine ray`: the records of one machine, from several, whatever dies."""

import errno
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import plain

from faunalens.batch_worker import Settings
from faunalens.cli import main
from faunalens.cluster.part import Job, PartJudge
from faunalens.cluster.plan import Plan, make_plan, part_name, read_list, read_plan
from faunalens.cluster.scan import scan_on_cluster
from faunalens.decide import policy
from faunalens.errors import FailureKind, FileError, ModelError, UsageError
from faunalens.inputs import find_photos
from faunalens.inputs_item import Item
from faunalens.model import Model
from faunalens.output_formats import read_file
from faunalens.output_target import Form
from faunalens.record import Failure
from faunalens.scan_here import stoppable

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
    with pytest.raises(UsageError, match="members of an archive"):
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


def test_a_full_disk_is_said(tmp_path: Path, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(out: Path, *_: Any, **__: Any) -> None:
        out.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("faunalens.cluster.part.write_file", full)
    judge = PartJudge(job(make_plan(tmp_path / "out", [Item("a.jpg")], 10)))
    try:
        with pytest.raises(FileError, match="No space left on device; make room"):
            judge.judge(0)
    finally:
        judge.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_lists"]


# -------------------------------------------------------------------------------- command line


def test_without_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    folder = photos(tmp_path / "photos", 2)
    options = ("--engine", "ray", "--model", tiny_model_path, "--format", "jsonl")
    done = scan(folder, "--out", tmp_path / "out", *options)
    assert done.exit_code == 1
    assert "pip install 'faunalens[cluster]'" in done.stderr
    again = scan(folder, "--out", tmp_path / "out", *options)
    assert again.exit_code == 1 and "--resume" in again.stderr


def test_wrong_use(tmp_path: Path, tiny_model_path: Path) -> None:
    folder = photos(tmp_path / "photos", 2)
    ray = (folder, "--engine", "ray", "--model", tiny_model_path)
    for arguments, expected, code in (
        (ray, "give --out a folder", 2),
        ((*ray, "--out", tmp_path / "x.csv"), "give --out a folder", 2),
        ((*ray, "--out", folder), "holds other files than results", 1),
        ((folder, "--ray-address", "auto"), "--ray-address needs --engine ray", 2),
        ((*ray, "--out", tmp_path / "out", "--workers", 0), "at least one worker", 2),
    ):
        done = scan(*arguments)
        assert done.exit_code == code and expected in done.stderr, done.output
    assert len(list(folder.iterdir())) == 2


def test_a_finished_run_is_kept(tmp_path: Path, job: Any, tiny_model: Model) -> None:
    """Nothing is left to do, so no cluster is needed."""
    folder = photos(tmp_path / "photos", 5)
    form = Form("jsonl", tiny_model.spec.labels, {"model": tiny_model.identity})
    settings = Settings(tiny_model.path, policy(tiny_model.spec))
    out = tmp_path / "run"

    def run(form: Form, **options: Any) -> None:
        scan_on_cluster(
            lambda: (Item(path) for path in find_photos([str(folder)])),
            out, form, tiny_model, settings, shipped=False, time_limit_s=9, part_rows=3,
            quiet=True, counts=Counter(), **options,
        )  # fmt: skip

    def parts_by_hand(job: Job, **_: Any) -> None:
        judge = PartJudge(job)
        for number in range(job.plan.parts):
            judge.judge(number)
        judge.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("faunalens.cluster.scan.judge_parts", parts_by_hand)
        run(form)
    manifest = json.loads((out / "_manifest.json").read_text())
    assert manifest["complete"] and [part["rows"] for part in manifest["parts"]] == [3, 2]
    rows = rows_of(out)
    assert [Path(row["source"]).name for row in rows] == [f"{n:04}.png" for n in range(5)]
    run(form, resume=True)
    assert rows_of(out) == rows
    with pytest.raises(FileError, match="--resume"):
        run(form)
    other = Form("jsonl", form.labels, {"model": {"name": "another"}})
    with pytest.raises(FileError, match="other options: model was"):
        run(other, resume=True)


# ------------------------------------------------------------------------------------- cluster


@pytest.fixture
def expected(tmp_path: Path, tiny_model_path: Path) -> list[dict[str, Any]]:
    """What one machine says of tmp_path/photos: 60, large enough that a part takes a while."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        path, same = folder / f"{number:04}.png", folder / f"{number - len(COLOURS):04}.png"
        if same.exists():
            path.hardlink_to(same)
        else:
            plain(COLOURS[number], 3000, 2000).save(path)
    (folder / "0033.png").unlink()
    (folder / "0033.png").write_text("no photo")
    done = scan(
        folder, "--out", tmp_path / "here.jsonl", "--model", tiny_model_path, "--workers", 0
    )
    assert done.exit_code == 3
    lines = (tmp_path / "here.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray leaves sockets and files open at its end
def test_a_worker_is_killed(
    tmp_path: Path, tiny_model: Model, expected: list[dict[str, Any]]
) -> None:
    """Two workers of a local cluster, one killed at its work; then a run that is stopped and
    continued."""
    pytest.importorskip("ray")
    form = Form("parquet", tiny_model.spec.labels, {"model": tiny_model.identity})
    settings = Settings(tiny_model.path, policy(tiny_model.spec))
    out = tmp_path / "out"
    told: list[int] = []
    pids: list[int] = []

    def done(number: int, judged: Counter[str], pid: int) -> None:
        told.append(number)
        pids.append(pid)
        if len(pids) == 1:
            os.kill(pid, signal.SIGKILL)
        if len(pids) == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    def run(**options: Any) -> Counter[str]:
        counts: Counter[str] = Counter()
        scan_on_cluster(
            lambda: (Item(path) for path in find_photos([str(tmp_path / "photos")])),
            out, form, tiny_model, settings, shipped=False, time_limit_s=60, part_rows=5,
            workers=2, quiet=True, counts=counts, done=done, **options,
        )  # fmt: skip
        return counts

    counts = run()
    assert sorted(told) == list(range(12))
    assert len(set(pids)) == 3, "the killed one, the other, and one in its place"
    assert counts == Counter(row["verdict"] or "failed" for row in expected)
    assert rows_of(out) == expected
    assert not list(out.glob("*.tmp"))
    missing = {3, 4, 7, 8, 10, 11}
    for number in missing:
        (out / part_name(number, "parquet")).unlink()
    with pytest.raises(SystemExit), stoppable(Counter(), quiet=True, resumable=True):
        run(resume=True)
    missing -= {n for n in missing if (out / part_name(n, "parquet")).exists()}
    assert missing, "it was stopped before the end"
    told.clear()
    assert run(resume=True).total() == 5 * len(missing) and set(told) == missing
    assert rows_of(out) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_machine_is_lost(
    tmp_path: Path, tiny_model_path: Path, expected: list[dict[str, Any]]
) -> None:
    """A cluster of three nodes, of which one goes while it judges."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    left: list[int] = []
    try:
        nodes = {raylet_of(node): node for node in (cluster.add_node(num_cpus=1) for _ in "ab")}
        out = tmp_path / "out"

        def lose() -> None:
            while not (list(out.glob("part-*")) and (at_work := list(out.glob("_part-*.tmp")))):
                time.sleep(0.01)
            worker = int(at_work[0].name.split(".")[-2])
            status = Path(f"/proc/{worker}/status").read_text()
            raylet = int(status.partition("PPid:")[2].split()[0])
            cluster.remove_node(nodes[raylet], allow_graceful=False)
            left.append(12 - len(list(out.glob("part-*"))))

        thread = threading.Thread(target=lose, daemon=True)
        thread.start()
        done = scan(
            tmp_path / "photos", "--out", out, "--engine", "ray", "--ray-address", cluster.address,
            "--model", tiny_model_path, "--part-rows", 5,
        )  # fmt: skip
        assert done.exit_code == 3, done.output
        thread.join(60)
        assert left and left[0] > 0, "the machine went before the end"
        assert rows_of(out) == expected
    finally:
        cluster.shutdown()


def raylet_of(node: Any) -> int:
    """Process id of a node's own Ray process, the parent of its workers."""
    return int(node.all_processes["raylet"][0].process.pid)
