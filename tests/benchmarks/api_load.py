"""Requests per second and latency of `faunalens serve --api` under 1, 4 and 16 clients, by wrk.

    python tests/benchmarks/api_load.py [--photo FILE] [--seconds 15]

Needs Debian's `wrk`. Server and clients share this machine's cores.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from faunalens.kit import vectors

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "image/jpeg"
local file = io.open("{photo}", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency)
  local bad = summary.errors
  io.write(string.format("RESULT %.2f %.2f %.2f %d\\n",
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(95) / 1000,
    bad.connect + bad.read + bad.write + bad.status + bad.timeout))
end
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=vectors.folder() / "turned.jpg")
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    command = [sys.executable, "-m", "faunalens", "serve", "--api", "--port", "0"]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server,
        tempfile.NamedTemporaryFile("w", suffix=".lua") as script,
    ):
        try:
            assert server.stderr is not None
            found = re.search(r"http://\S+?/", server.stderr.readline())
            if found is None:
                raise SystemExit("the server did not start")
            script.write(_SCRIPT.replace("{photo}", str(options.photo.resolve())))
            script.flush()
            print(f"{options.photo.name}, {options.photo.stat().st_size / 1000:.0f} kB")
            print(f"{'clients':>7} {'requests/s':>10} {'p50 ms':>8} {'p95 ms':>8} {'errors':>6}")
            for clients in (1, 4, 16):
                words = [f"-c{clients}", f"-d{options.seconds}s", "--timeout", "30s", "-t1"]
                done = subprocess.run(
                    ["wrk", *words, "-s", script.name, f"{found[0]}v1/classify"],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT"))
                rate, half, most, errors = line.split()[1:]
                print(f"{clients:>7} {rate:>10} {half:>8} {most:>8} {errors:>6}", flush=True)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
