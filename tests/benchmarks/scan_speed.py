"""Photos per second of `faunalens scan` with 1 and 2 workers, and memory along the way.

    python tests/benchmarks/scan_speed.py FOLDER [--photos 1000]

FOLDER's photos are linked again and again until there are enough. Both runs are in one call, so
their ratio holds whatever else the machine is doing; the photos per second do not travel.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from faunalens import find_photos

EARLY = 100  # photo at which memory is first read


def children(pid: int) -> list[int]:
    """Processes that a process has started, whichever of its threads did (Linux)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]


def tree_mb(pid: int) -> float:
    """Resident memory of a process and its children, MB (shared pages counted once per process)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    own = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return own + sum(tree_mb(child) for child in children(pid))


def measure(folder: Path, workers: int, photos: int) -> float:
    """Run once, print, and return photos per second after the first EARLY photos."""
    command = [sys.executable, "-m", "faunalens", "scan", str(folder), "--quiet"]
    started = time.monotonic()
    with subprocess.Popen(
        [*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True
    ) as scan:
        assert scan.stdout is not None
        early_mb, early_at, count = 0.0, started, 0
        late_mb = 0.0
        for count, _ in enumerate(scan.stdout, 1):
            if count == EARLY:
                early_mb, early_at = tree_mb(scan.pid), time.monotonic()
            elif count == photos - 1:  # at the last one the workers may be gone
                late_mb = tree_mb(scan.pid)
        ended = time.monotonic()
    rate = (count - EARLY) / (ended - early_at)
    print(
        f"{workers} worker(s): {count} photos in {ended - started:.1f} s with the start, "
        f"{rate:.1f} per second after the first {EARLY}; memory {early_mb:.0f} MB at photo "
        f"{EARLY}, {late_mb:.0f} MB at the end (x {late_mb / early_mb:.3f})"
    )
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1000)
    options = parser.parse_args()
    found = list(find_photos([str(options.folder)]))
    if not found or options.photos <= 2 * EARLY:
        parser.error(f"need a folder with photos, and --photos above {2 * EARLY}")
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in enumerate(islice(cycle(found), options.photos)):
            (Path(scratch) / f"{number:07}{Path(path).suffix}").symlink_to(Path(path).resolve())
        one, two = (measure(Path(scratch), workers, options.photos) for workers in (1, 2))
    print(f"2 workers / 1 worker: x {two / one:.2f}")


if __name__ == "__main__":
    main()
