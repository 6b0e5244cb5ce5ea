"""Milliseconds per photo in Chromium on WASM, and what a page downloads.

    python tests/benchmarks/browser_speed.py [--without-simd FOLDER]

Needs `npm install` in inference/clients and Debian's chromium. Since 1.19 onnxruntime-web ships one
WASM build, with SIMD and threads; for the figure without SIMD name a folder into which
`npm install onnxruntime-web@1.18.0` was done.
"""

import argparse
import gzip
import statistics
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import browse

from faunalens.model import shipped_model_path

CLIENTS = Path(__file__).parents[2] / "inference" / "clients"
NEW = "node_modules/onnxruntime-web/dist/"

_BLANK = "<!doctype html><title>bench</title><link rel=icon href=data:,>"
_RUN = """async ({ script, wasm, simd, threads, side, runs }) => {
  const found = script.endsWith(".mjs") ? await import(script) : null;
  if (!found) {
    await new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      Object.assign(tag, { src: script, onload: resolve, onerror: reject });
      document.head.append(tag);
    });
  }
  const ort = found ?? window.ort;
  Object.assign(ort.env.wasm, { wasmPaths: wasm, numThreads: threads, simd });
  const session = await ort.InferenceSession.create("/model.onnx");
  const data = new Uint8Array(side * side * 3);
  const feed = { image: new ort.Tensor("uint8", data, [1, side, side, 3]) };
  const times = [];
  for (let i = 0; i < runs + 2; i++) {
    const started = performance.now();
    await session.run(feed, ["probability"]);
    times.push(performance.now() - started);
  }
  return times.slice(2);
}"""


class _Files(SimpleHTTPRequestHandler):
    """The folders given, the model, and an isolated blank page."""

    def __init__(self, *words: Any, roots: dict[str, Path], **more: Any) -> None:
        self._roots = roots
        super().__init__(*words, **more)

    def translate_path(self, path: str) -> str:
        if path == "/model.onnx":
            return str(shipped_model_path())
        _, root, *rest = path.partition("?")[0].split("/")
        return str(self._roots.get(root, Path("/nonexistent")).joinpath(*rest))

    def do_GET(self) -> None:
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(_BLANK.encode())
        return None

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Silence."""


def settings(old: Path | None) -> list[tuple[str, dict[str, Any]]]:
    """Title and options of each way to run."""
    script, wasm = "/new/ort.wasm.min.mjs", "/new/"
    found = [
        (f"SIMD, {threads} thread(s)", {"script": script, "wasm": wasm, "threads": threads})
        for threads in (1, 2)
    ]
    if old:
        found += [
            (
                f"1.18: {'SIMD' if simd else 'no SIMD'}, {threads} thread(s)",
                {
                    "script": "/old/ort.wasm.min.js",
                    "wasm": "/old/",
                    "threads": threads,
                    "simd": simd,
                },
            )
            for simd in (True, False)
            for threads in (1, 2)
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-simd", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    roots = {"new": CLIENTS / NEW}
    if options.without_simd:
        roots["old"] = options.without_simd / NEW
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, roots=roots))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    from faunalens.model import Model

    side = Model().spec.resize.size_px
    for title, setting in settings(options.without_simd):
        with browse(300, 300) as watch:
            watch.page.goto(f"http://127.0.0.1:{server.server_port}/")
            times = watch.page.evaluate(
                _RUN, {"simd": True, "side": side, "runs": options.runs, **setting}
            )
        print(f"{title:28} {statistics.median(times):7.1f} ms (least {min(times):.1f})", flush=True)
    downloads = [
        shipped_model_path(),
        CLIENTS / NEW / "ort-wasm-simd-threaded.wasm",
        CLIENTS / NEW / "ort-wasm-simd-threaded.mjs",
        CLIENTS / NEW / "ort.wasm.min.mjs",
    ]
    for path in downloads:
        data = path.read_bytes()
        print(f"{path.name:28} {len(data) / 1e6:.2f} MB, {len(gzip.compress(data)) / 1e6:.2f} gzip")
    server.shutdown()


if __name__ == "__main__":
    main()
