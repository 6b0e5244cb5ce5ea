"""Photos that crash, hang or bloat their worker; quotas of cores."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import plain

from faunalens.batch_pool import chunk_of
from faunalens.cores import available_cores, cgroup_quota
from faunalens.inputs_item import Item

# A decoder with faults that no real photo is known to reach. The faulty module is imported by the
# workers too: spawn runs the main script again.
FAULTS = """
import json, os, sys, time
from pathlib import Path
import faunalens.pipeline
from faunalens.batch import judge_items
from faunalens.batch_worker import Settings
from faunalens.decide import policy
from faunalens.inputs_item import Item
from faunalens.model import Model

real = faunalens.pipeline.decode
def decode(data, **options):
    if data == b"crash":
        os.kill(os.getpid(), 11)
    if data == b"hang":
        time.sleep(1000)
    if data == b"eat":
        bytearray(3 * 1024**3)
    if data == b"slow":
        time.sleep(0.7)
    if data == b"crash once" and not Path("crashed").exists():
        Path("crashed").touch()
        os.kill(os.getpid(), 9)
    return real(data if data[:1] == b"\\x89" else good, **options)
faunalens.pipeline.decode = decode
good = Path("00.png").read_bytes()

if __name__ == "__main__":
    limit, model, *paths = sys.argv[1:]
    model = Model(Path(model))
    settings = Settings(model.path, policy(model.spec), memory_mb=1500)
    for one in judge_items(
        map(Item, paths), model, settings, workers=2, time_limit_s=float(limit),
        note=lambda event, details: print("NOTE", event, details["source"]),
    ):
        record = one.record
        print(record.source, record.verdict or record.failure.kind, one.seconds > 0.5, flush=True)
"""


def faulty(
    folder: Path, model: Path, faults: dict[int, bytes], *, limit: float, count: int = 40
) -> tuple[dict[str, str], str]:
    """Scan `count` photos, some of them faulty; name to outcome in the order given, and stdout."""
    (folder / "faults.py").write_text(FAULTS)
    names = [f"{i:02}.png" for i in range(count)]
    plain((255, 0, 0)).save(folder / names[0])
    for index, name in enumerate(names[1:], 1):
        (folder / name).write_bytes(faults.get(index, (folder / names[0]).read_bytes()))
    done = subprocess.run(
        [sys.executable, "faults.py", str(limit), model, *names],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("NOTE")]
    assert [line[0] for line in lines] == names, done.stdout
    return {name: outcome for name, outcome, _ in lines}, done.stdout


def test_each_faulty_photo_costs_its_own_record(tmp_path: Path, tiny_model_path: Path) -> None:
    faults = {3: b"crash", 4: b"eat", 13: b"crash once", 22: b"hang", 23: b"crash", 39: b"crash"}
    found, stdout = faulty(tmp_path, tiny_model_path, faults, limit=8)
    wrong = {name: outcome for name, outcome in found.items() if outcome != "alert"}
    assert wrong == {
        "03.png": "internal",
        "04.png": "internal",  # MemoryError
        "22.png": "timeout",
        "23.png": "internal",
        "39.png": "internal",
    }
    assert "NOTE photo_timeout 22.png" in stdout
    assert "NOTE worker_died 13.png" in stdout


def test_a_slow_photo_within_its_time_is_judged(tmp_path: Path, tiny_model_path: Path) -> None:
    found, stdout = faulty(tmp_path, tiny_model_path, {5: b"slow"}, limit=60, count=10)
    assert set(found.values()) == {"alert"}
    assert "05.png alert True" in stdout


def test_large_photos_from_archives_are_not_piled_up() -> None:
    large = [Item(str(number), b"x" * (20 << 20)) for number in range(5)]
    source = iter([*large, *(Item(f"{number}.jpg") for number in range(9))])
    assert [len(chunk_of(source)) for _ in range(5)] == [2, 2, 8, 2, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_go_when_the_parent_is_killed(tmp_path: Path, tiny_model_path: Path) -> None:
    (tmp_path / "faults.py").write_text(FAULTS)
    plain((255, 0, 0)).save(tmp_path / "00.png")
    (tmp_path / "01.png").write_bytes(b"hang")
    parent = subprocess.Popen(
        [sys.executable, "faults.py", "1000", tiny_model_path, *["00.png"] * 16, "01.png"],
        cwd=tmp_path, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    parent.stdout.readline()  # the workers are at work
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in children):
        assert time.monotonic() < deadline, "workers outlive the parent"
        time.sleep(0.1)
    assert len(children) >= 2


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("files", "lines", "cores"),
    [
        ({"a/b/cpu.max": "150000 100000"}, "0::/a/b", 1.5),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000"}, "0::/a/b", 4.0),
        ({"cpu.max": "200000 100000"}, "0::/host/path/not/seen/here", 2.0),
        ({"a/cpu.max": "max 100000"}, "0::/a", None),
        (
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            "4:cpu,cpuacct:/x\n3:memory:/y",
            0.5,
        ),
        ({"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, "4:cpu:/x", None),
        ({}, "not a list of cgroups", None),
    ],
)
def test_the_quota_of_the_cgroup(
    tmp_path: Path, files: dict[str, str], lines: str, cores: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text + "\n")
    (tmp_path / "cgroup").write_text(lines + "\n")
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "fs") == cores
    assert cgroup_quota(tmp_path / "none") is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_cores_are_those_of_the_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert 1 <= available_cores() <= len(allowed)
