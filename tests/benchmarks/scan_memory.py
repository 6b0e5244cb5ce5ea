"""Memory of `faunalens scan` along a long run: does it grow with the number of photos?

    python tests/benchmarks/scan_memory.py FOLDER [--photos 200000] [-- SCAN OPTIONS]

FOLDER's photos are linked again and again, 1000 to a folder. Prints the resident memory of all
processes together, shared pages split between them, at photo 2000 and then each time the number has
grown by a quarter, with the ratio to photo 2000. Stopped by Ctrl-C it has said what it saw.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from scan_speed import children

from faunalens import find_photos

EARLY = 2000


def pss_mb(pid: int) -> float:
    """Proportional set size of a process and its children, MB."""
    total = 0.0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            total = int(line.split()[1]) / 1000
    return total + sum(pss_mb(child) for child in children(pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=200_000)
    own, _, options = " ".join(sys.argv[1:]).partition(" -- ")
    words = parser.parse_args(own.split())
    found = list(find_photos([str(words.folder)]))
    if not found or words.photos < 2 * EARLY:
        parser.error(f"need a folder with photos, and --photos from {2 * EARLY}")
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in enumerate(islice(cycle(found), words.photos)):
            folder = Path(scratch) / f"{number // 1000:05}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number:08}{Path(path).suffix}").symlink_to(Path(path).resolve())
        command = [sys.executable, "-m", "faunalens", "scan", scratch, "--quiet", *options.split()]
        started = time.monotonic()
        first, due = 0.0, EARLY
        with subprocess.Popen(command, stdout=subprocess.PIPE) as scan:
            assert scan.stdout is not None
            for count, _ in enumerate(scan.stdout, 1):
                if count == due or count == words.photos - 1:
                    now = pss_mb(scan.pid)
                    first = first or now
                    rate = count / (time.monotonic() - started)
                    print(
                        f"photo {count:>8,}: {now:.1f} MB, x {now / first:.3f}; {rate:.0f} per s",
                        flush=True,
                    )
                    due = due * 5 // 4
        print(f"exit code {scan.returncode}")


if __name__ == "__main__":
    main()
