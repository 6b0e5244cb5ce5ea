"""What a scan tells while it runs, when it is stopped, and at its end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import plain
from test_scan import run

from faunalens.output import read_results


def scan_command(*words: object) -> list[str]:
    return [sys.executable, "-m", "faunalens", "scan", *map(str, words)]


def test_the_log_and_the_summary(tmp_path: Path, tiny_model_path: Path) -> None:
    for number in range(9):
        plain((255, 0, 0)).save(tmp_path / f"{number}.png")
    for name in ("bad1.png", "bad\x1b[2J.png"):
        (tmp_path / name).write_text("no photo")
    log = tmp_path / "log.jsonl"
    options = ("--model", tiny_model_path, "--workers", 0, "--out", tmp_path / "r.csv")
    result = run("scan", tmp_path, *options, "--log", log)
    assert result.exit_code == 3
    assert "11 photos in" in result.stderr
    assert "9 alert, 0 review, 0 clear, 2 failed" in result.stderr
    assert "Failed: 2 not_an_image" in result.stderr
    assert "bad\\x1b[2J.png: not a photo this program knows" in result.stderr
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", *["photo_failed"] * 2, "end"]
    assert events[0]["model"]["name"] == "tiny"
    assert events[1]["kind"] == "not_an_image"
    assert (events[-1]["done"], events[-1]["failed"], events[-1]["error"]) == (11, 2, None)
    again = run("scan", tmp_path, *options, "--log", log, "--resume")
    assert "11 photos in" in again.stderr
    assert "(11 of them in earlier runs)" in again.stderr
    assert again.exit_code == 3
    missing = run("scan", tmp_path, *options, "--overwrite", "--log", tmp_path / "none" / "x")
    assert (missing.exit_code, "cannot write" in missing.stderr) == (1, True)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal(tmp_path: Path, tiny_model_path: Path, number: int) -> None:
    (tmp_path / "photos").mkdir()
    for index in range(300):
        plain((255, 0, 0)).save(tmp_path / "photos" / f"{index:03}.png")
    out = tmp_path / "r.jsonl"
    words = ("photos", "--model", tiny_model_path, "--workers", 2, "--out", out)
    # The last item never comes, so the run is still under way whenever the signal does.
    fifo = tmp_path / "list"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        scan_command("-", *words), cwd=tmp_path, stdin=(handle := os.open(fifo, os.O_RDWR)),
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    os.write(handle, b"photos\n")
    part = tmp_path / "r.jsonl.part"
    deadline = time.monotonic() + 60
    while not part.exists() or part.stat().st_size < 10_000:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    os.killpg(process.pid, number)  # as a terminal does: the workers get it too
    _, told = process.communicate(timeout=60)
    os.close(handle)
    assert process.returncode == 130, told
    assert "use the same command with --resume to go on" in told
    assert "Traceback" not in told
    assert run("scan", tmp_path / "photos", *words[1:], "--resume").exit_code == 0
    # Named differently (relative, absolute), so these are other photos: all have their rows.
    sources = [record.source for record in read_results(out)]
    assert len(sources) == len(set(sources))
    assert sum(source.startswith("/") for source in sources) == 300


@pytest.mark.skipif(sys.platform != "linux", reason="needs a pseudo-terminal")
def test_the_bar_on_a_terminal(tmp_path: Path, tiny_model_path: Path) -> None:
    import fcntl
    import pty
    import struct
    import termios

    (tmp_path / "photos").mkdir()
    for number in range(30):
        plain((255, 0, 0)).save(tmp_path / "photos" / f"{number:02}.png")
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    process = subprocess.Popen(
        scan_command("photos", "--model", tiny_model_path, "--workers", 0, "--out", "r.jsonl"),
        cwd=tmp_path, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while block := os.read(main, 4096):
            shown += block
    except OSError:  # the terminal is gone
        pass
    assert process.wait() == 0
    text = shown.decode()
    assert re.search(r"30/30 \[.*photos/s", text)
    assert "30 alert, 0 review, 0 clear, 0 failed" in text
    assert "To look at the hits: faunalens report r.jsonl" in text
