"""Upload to answer for 1 and 8 users at once, the weight of the page, and memory over many uploads.

    python tests/benchmarks/app_load.py [--uploads 1000]

Starts `faunalens serve` on a free port. Each request uploads one of several 1600 x 1200 JPEGs and
waits for the answer of `/check`. Needs the extra `app`; the page is weighed where Debian's chromium
is installed. Times depend on what else the machine does: its load is printed with them.
"""

import argparse
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image
from tqdm import tqdm

CHROMIUM = Path("/usr/bin/chromium")


def photos(count: int) -> list[bytes]:
    """JPEGs of 1600 x 1200 with texture at several scales, about as large as a phone's."""
    made = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
        fine = random.integers(-20, 21, (1200, 1600, 3))
        mixed = np.asarray(coarse.resize((1600, 1200), Image.Resampling.BICUBIC)) + fine
        buffer = io.BytesIO()
        Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
        made.append(buffer.getvalue())
    return made


def ask(address: str, photo: bytes) -> float:
    """Seconds from upload to answer; raises if there is none."""
    started = time.perf_counter()
    border = uuid.uuid4().hex
    head = (
        f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + photo + f"\r\n--{border}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={border}"}
    path = _json(Request(f"{address}gradio_api/upload", body, kind))[0]
    data = {"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}}]]}
    call = f"{address}gradio_api/call/check"
    kind = {"Content-Type": "application/json"}
    number = _json(Request(call, json.dumps(data).encode(), kind))["event_id"]
    with urlopen(f"{call}/{number}", timeout=120) as reply:
        event, content = reply.read().decode().strip().splitlines()[-2:]
    answer = json.loads(content.removeprefix("data: "))
    if event != "event: complete" or answer[0][0]["record"]["status"] != "ok":
        raise RuntimeError(f"no answer: {event} {content[:200]}")
    return time.perf_counter() - started


def _json(request: Request) -> Any:
    with urlopen(request, timeout=120) as reply:
        return json.load(reply)


def users(address: str, count: int, requests: int, made: list[bytes]) -> str:
    """One line: median, 95th percentile and errors of several users, each asking in turn."""
    errors = 0

    def one(user: int) -> list[float]:
        nonlocal errors
        times = []
        for turn in range(requests):
            try:
                times.append(ask(address, made[(user + turn) % len(made)]))
            except Exception as error:
                errors += 1
                print(error, file=sys.stderr)
        return times

    with ThreadPoolExecutor(count) as pool:
        times = sorted(second for user in pool.map(one, range(count)) for second in user)
    p95 = times[min(len(times) - 1, round(0.95 * len(times)))]
    return (
        f"{count} user(s), {len(times)} answers: median {statistics.median(times):.3f} s, "
        f"p95 {p95:.3f} s, {errors} errors"
    )


def memory_mb(process: int) -> float:
    """Resident memory of a process (Linux)."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    row = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(row.split()[1]) / 1024


def page(address: str) -> str:
    """Bytes over the wire and seconds until the first screen can be used, with an empty cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page()
        session = tab.context.new_cdp_session(tab)
        session.send("Network.enable")
        weight: list[float] = []
        session.on("Network.loadingFinished", lambda e: weight.append(e["encodedDataLength"]))
        started = time.perf_counter()
        tab.goto(address)
        tab.locator("#fl-files input[type=file]").wait_for(state="attached", timeout=120_000)
        tab.locator("#fl-first .fl-card").wait_for(timeout=120_000)
        ready = time.perf_counter() - started
        tab.wait_for_timeout(2000)  # what is loaded later; the heartbeat never ends
        browser.close()
    return f"page: {sum(weight) / 1e6:.2f} MB in {len(weight)} requests, usable after {ready:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=1000, help="uploads for the memory figure")
    parser.add_argument("--requests", type=int, default=20, help="answers per user")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/en/"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "faunalens", "serve", "--no-open", "--port", str(port)]
        command += ["--store", f"sqlite:///{folder}/d.sqlite", "--keep-minutes", "0.5"]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            made = photos(8)
            for _ in range(600):
                try:
                    ask(address, made[0])
                    break
                except OSError:
                    time.sleep(0.2)
            print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            print(users(address, 1, options.requests, made))
            print(users(address, 8, options.requests, made))
            if CHROMIUM.exists():
                print(page(address))
            marks = sorted({options.uploads // 10 * tenth for tenth in range(1, 11)} | {1})
            seen = {}
            for number in tqdm(range(1, options.uploads + 1), disable=None):
                ask(address, made[number % len(made)])
                if number in marks:
                    seen[number] = memory_mb(server.pid)
            print("memory after n uploads (MB):", {n: round(mb) for n, mb in seen.items()})
        finally:
            server.terminate()
            server.wait(120)  # on a busy machine it takes its time


if __name__ == "__main__":
    main()
