"""Memory of `faunalens scan` along a long run: does it grow with the number of photos?

    python tests/benchmarks/scan_memory.py FOLDER [--photos 200000] [-- SCAN OPTIONS]

FOLDER's photos are linked again and again, 1000 to a folder. Prints, at photo 2000 and then each
time the number has grown by a quarter, the resident memory of all processes together and, of that,
what they alone can make grow: pages that come from no file. The rest is code of libraries, split
between all processes that have them open, so it changes when other programs come or go. Both with
their ratio to photo 2000. Stopped by Ctrl-C it has said what it saw.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from scan_speed import children

from faunalens import find_photos

EARLY = 2000


def memory_mb(pid: int) -> tuple[float, float]:
    """Proportional set size of a process and its children, MB: all of it, and of no file."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    sizes = {
        name: int(rest.split()[0]) / 1000 for name, _, rest in (x.partition(":") for x in lines)
    }
    whole, own = sizes["Pss"], sizes["Pss_Anon"]
    for child in children(pid):
        more, its_own = memory_mb(child)
        whole, own = whole + more, own + its_own
    return whole, own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=200_000)
    given, _, options = " ".join(sys.argv[1:]).partition(" -- ")
    words = parser.parse_args(given.split())
    found = [Path(path).resolve() for path in find_photos([str(words.folder)])]
    if not found or words.photos < 2 * EARLY:
        parser.error(f"need a folder with photos, and --photos from {2 * EARLY}")
    with tempfile.TemporaryDirectory() as scratch:
        # Some more than asked for, so that the scan is under way when the last is measured.
        for number, path in enumerate(islice(cycle(found), words.photos + EARLY)):
            folder = f"{scratch}/{number // 1000:05}"
            if number % 1000 == 0:
                os.mkdir(folder)
            os.symlink(path, f"{folder}/{number:08}{path.suffix}")
        command = [sys.executable, "-m", "faunalens", "scan", scratch, "--quiet", *options.split()]
        started = time.monotonic()
        early, due = (0.0, 0.0), EARLY
        with subprocess.Popen(command, stdout=subprocess.PIPE) as scan:
            assert scan.stdout is not None
            for count, _ in enumerate(scan.stdout, 1):
                if count == due or count == words.photos:
                    whole, own = memory_mb(scan.pid)
                    early = early if early[0] else (whole, own)
                    rate = count / (time.monotonic() - started)
                    print(
                        f"photo {count:>8,}: {whole:.1f} MB, x {whole / early[0]:.3f}; of no file "
                        f"{own:.1f} MB, x {own / early[1]:.3f}; {rate:.0f} per s",
                        flush=True,
                    )
                    due = due * 5 // 4
                if count == words.photos:
                    scan.terminate()


if __name__ == "__main__":
    main()
