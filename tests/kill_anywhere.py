"""Kills scans with SIGKILL, resumes them, and compares the results with an undisturbed run's.

    python tests/kill_anywhere.py random --kills 100   # at random moments
    python tests/kill_anywhere.py each                 # before each step that changes a file

Exit code 1, and the difference, if a row was lost, doubled or changed.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from conftest import plain, write_tiny_model
from test_decode import png_header

from faunalens import output_journal
from faunalens.cli import main as faunalens
from faunalens.output_formats import read_file

TARGETS = ("r.jsonl", "r.csv", "r.parquet", "parts-jsonl", "parts-csv", "parts-parquet")


def words(folder: Path, out: Path, *, workers: int, resume: bool) -> list[str]:
    form = out.name.rpartition("-")[2] if not out.suffix else out.suffix[1:]
    return [
        "scan", str(folder / "photos"), "--model", str(folder / "tiny.onnx"), "--quiet",
        "--workers", str(workers), "--out", str(out), "--format", form, "--part-rows", "37",
        *(["--resume"] if resume else []),
    ]  # fmt: skip


def child(arguments: list[str], before: Callable[[], None] = lambda: None) -> int:
    """Start a scan in a fork of this process: no interpreter to start each time."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        before()
        faunalens(arguments, standalone_mode=True)
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 1
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Exit code; negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def rows(out: Path) -> list[dict[str, Any]]:
    paths = sorted(out.glob("part-*")) if out.is_dir() else [out]
    return [record.to_dict() for path in paths for record in read_file(path)]


def leftovers(out: Path) -> list[str]:
    """Files that a finished run must not leave."""
    kept = {out.name, out.name + ".manifest.json", "_manifest.json"}
    found = out.iterdir() if out.is_dir() else out.parent.glob(out.name + "*")
    return [path.name for path in found if path.name not in kept and path.name[:5] != "part-"]


def compare(out: Path, expected: list[dict[str, Any]]) -> None:
    found = rows(out)
    if found != expected:
        lost = [row["source"] for row in expected if row not in found]
        sys.exit(f"{out.name}: {len(found)} rows for {len(expected)}; lost or changed: {lost[:5]}")
    if leftovers(out):
        sys.exit(f"{out.name}: left {leftovers(out)}")


def remove(out: Path) -> None:
    for path in out.parent.glob(out.name + "*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def at_random(
    folder: Path, out: Path, expected: list[dict[str, Any]], kills: int, workers: int
) -> None:
    remove(out)
    started = time.monotonic()
    assert ended(child(words(folder, out, workers=workers, resume=True))) == 3
    whole_s = time.monotonic() - started
    compare(out, expected)
    remove(out)
    killed = runs = 0
    while killed < kills:
        pid = child(words(folder, out, workers=workers, resume=True))
        time.sleep(random.uniform(0, whole_s))
        os.kill(pid, signal.SIGKILL)
        if ended(pid) == -signal.SIGKILL:
            killed += 1
            if random.random() < 0.7:
                continue
        assert ended(child(words(folder, out, workers=workers, resume=True))) == 3
        compare(out, expected)
        runs += 1
        remove(out)
    code = ended(child(words(folder, out, workers=workers, resume=True)))
    assert code == 3
    compare(out, expected)
    print(f"{out.name}: {killed} kills, {runs + 1} results equal, {workers} workers", flush=True)


def before_each(folder: Path, out: Path, expected: list[dict[str, Any]]) -> None:
    """Die before the 1st, 2nd, ... file operation, and in the middle of each written row."""
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        step += 1
        remove(out)
        code = ended(child(words(folder, out, workers=0, resume=True), partial(die_at, step, out)))
        if code == -signal.SIGKILL:
            again = ended(child(words(folder, out, workers=0, resume=True)))
            if again != 3:
                sys.exit(f"{out.name}: killed at step {step}, resuming gave exit code {again}")
        else:
            assert code == 3, code
        compare(out, expected)
    print(f"{out.name}: killed before each of {step - 1} steps, results equal", flush=True)


def die_at(step: int, out: Path) -> None:
    left = step

    def count() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir"):
            return
        if any(str(out) in os.fsdecode(a) for a in arguments if isinstance(a, str | bytes)):
            if event == "open" and not arguments[2] & (os.O_CREAT | os.O_TRUNC | os.O_RDWR):
                return
            if count():
                os.kill(os.getpid(), signal.SIGKILL)

    write = os.write

    def torn(file: int, data: Any) -> int:
        if count():
            write(file, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(file, data)

    sys.addaudithook(hook)
    output_journal.os.write = torn  # type: ignore[attr-defined]


def prepare(folder: Path, photos: int) -> None:
    write_tiny_model(folder / "tiny.onnx")
    (folder / "photos").mkdir()
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90))
    for number in range(photos):
        path = folder / "photos" / f"{number:05}.png"
        if number % 11 == 5:
            path.write_bytes(png_header(20_000, 20_000))
        else:
            plain(colours[number % 4], 40 + number % 7, 40).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("random", "each"))
    parser.add_argument("--kills", type=int, default=100, help="of each target")
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--targets", nargs="*", default=TARGETS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, options.photos)
        for name in options.targets:
            out = folder / name
            assert ended(child(words(folder, out, workers=0, resume=False))) == 3
            expected = rows(out)
            assert len(expected) == options.photos
            if options.mode == "each":
                before_each(folder, out, expected)
            else:
                at_random(folder, out, expected, options.kills, options.workers)


if __name__ == "__main__":
    main()
