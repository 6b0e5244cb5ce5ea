"""The clients of inference/clients against the golden vectors: each sees what we see."""

import hashlib
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browse
from conftest import ROOT, noise

from faunalens.decide import decide
from faunalens.kit import vectors
from faunalens.model import Model
from faunalens.preprocess import preprocess
from faunalens.spec import NoveltySpec, ResizeRule

CLIENTS = ROOT / "inference" / "clients"
NODE = shutil.which("node")
GOLDEN = vectors.folder()
PICTURES = list(vectors.pictures(GOLDEN))

CANVAS_TOLERANCE = 0.02
"""A canvas is no exact decoder: YUV to RGB in other arithmetic, premultiplied alpha."""

_CLASSIFY = """async () => {
  const file = document.querySelector("#photo").files[0];
  const { record, tensor } = await window.faunalens.classify(file);
  return { record, tensor: Array.from(tensor) };
}"""

needs_node = pytest.mark.skipif(
    NODE is None or not (CLIENTS / "node_modules" / "onnxruntime-web").is_dir(),
    reason="NOT TESTED with Node.js: needs node, and `npm install` in inference/clients",
)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.shipped()


@pytest.fixture(scope="module")
def wanted(model: Model) -> dict[str, dict[str, Any]]:
    """File name to its golden vector for the shipped model."""
    stored = vectors.read(GOLDEN)["models"]
    mine = next(one for one in stored if one["sha256"] == model.identity["sha256"])
    return {vector["file"]: vector for vector in mine["vectors"]}


def lines_of(*command: object, code: int = 0) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=CLIENTS, timeout=300
    )
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_python_client(model: Model, wanted: dict[str, dict[str, Any]]) -> None:
    lines = lines_of(sys.executable, "python/classify.py", model.path, *PICTURES)
    assert len(lines) == len(PICTURES)
    for line, path in zip(lines, PICTURES, strict=True):
        golden = wanted[path.name]
        assert list(line["probabilities"]) == list(model.spec.labels)
        assert list(line["probabilities"].values()) == pytest.approx(
            golden["probability"], abs=vectors.TOLERANCE
        )
    code = (CLIENTS / "python" / "classify.py").read_text(encoding="utf-8")
    assert "import faunalens" not in code and "from faunalens" not in code


@needs_node
def test_node_client(model: Model, wanted: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a photo")
    *lines, failed = lines_of(NODE, "node/classify.mjs", model.path, *PICTURES, bad, code=3)
    assert failed["status"] == "failed"
    assert len(lines) == len(PICTURES)
    for line, path in zip(lines, PICTURES, strict=True):
        golden = wanted[path.name]
        assert line["tensor_sha256"] == golden["tensor_sha256"], path.name
        assert list(line["probabilities"].values()) == pytest.approx(
            golden["probability"], abs=vectors.TOLERANCE
        )
        for field in ("verdict", "label", "rule"):
            assert line[field] == golden[field], path.name


@needs_node
def test_node_client_refuses_other_models(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"\x08\x09")
    done = subprocess.run(
        [str(NODE), "node/classify.mjs", str(path), str(PICTURES[0])],
        capture_output=True,
        text=True,
        cwd=CLIENTS,
    )
    assert done.returncode == 1
    assert "not a faunalens model" in done.stderr


@needs_node
@pytest.mark.parametrize("filter_", ["bicubic", "bilinear"])
def test_javascript_resizes_exactly_as_pillow(filter_: str, tmp_path: Path) -> None:
    sizes = [(1, 1), (64, 64), (640, 480), (33, 1000), (1000, 7), (65, 63)]
    for index, (width, height) in enumerate(sizes):
        (tmp_path / f"{index}.rgb").write_bytes(noise(width, height, index).tobytes())
    script = """
import { readFileSync, writeFileSync } from "node:fs";
import { resize } from "./web/resize.mjs";
const [folder, filter, ...sizes] = process.argv.slice(1);
sizes.forEach((size, i) => {
  const [w, h] = size.split("x").map(Number);
  const out = resize(readFileSync(`${folder}/${i}.rgb`), w, h, 64, 64, filter);
  writeFileSync(`${folder}/${i}.out`, out);
});
"""
    words = [f"{width}x{height}" for width, height in sizes]
    subprocess.run(
        [str(NODE), "--input-type=module", "-e", script, str(tmp_path), filter_, *words],
        cwd=CLIENTS,
        check=True,
    )
    for index, (width, height) in enumerate(sizes):
        ours = preprocess(noise(width, height, index), ResizeRule(64, filter=filter_))
        assert (tmp_path / f"{index}.out").read_bytes() == ours.tobytes(), (width, height)


@needs_node
def test_javascript_decides_as_python(model: Model) -> None:
    rng = np.random.default_rng(0)
    rows = (rng.random((200, len(model.spec.labels))) ** rng.integers(1, 12, (200, 1))).round(6)
    novelty = (rng.random(200) * 5).round(2).tolist()
    spec = replace(model.spec, novelty=NoveltySpec(2.5, 0.01, "test"))
    script = """
import { readFileSync } from "node:fs";
import { decide, readMetadata } from "./web/contract.mjs";
const metadata = readMetadata(readFileSync(process.argv[1]));
metadata.novelty = { threshold: 2.5 };
for (const [novelty, ...row] of JSON.parse(readFileSync(0))) {
  console.log(JSON.stringify(decide(metadata, row, novelty)));
}
"""
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", script, str(model.path)],
        input=json.dumps(
            [[strange, *row] for strange, row in zip(novelty, rows.tolist(), strict=True)]
        ),
        capture_output=True,
        text=True,
        cwd=CLIENTS,
        check=True,
    )
    rules = vectors.own_rules(spec)
    for row, strange, line in zip(rows, novelty, done.stdout.splitlines(), strict=True):
        theirs, ours = json.loads(line), decide(spec, row.tolist(), rules, strange)
        for field in ("verdict", "label", "rule"):
            assert theirs[field] == getattr(ours, field)
        assert theirs["probability"] == pytest.approx(ours.probability)


@pytest.fixture
def demo(model: Model) -> Iterator[str]:
    """The address of the demo page."""
    command = [str(NODE), "browser/serve.mjs", str(model.path), "0"]
    with subprocess.Popen(command, cwd=CLIENTS, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


@needs_node
@pytest.mark.slow
def test_browser_page(demo: str, wanted: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """In Chromium: what the page shows, and that no photo leaves it."""
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a photo")
    with browse(900, 900) as watch:
        page = watch.page
        page.goto(demo)
        page.locator("#state", has_text="Ready").wait_for()
        for path in PICTURES:
            page.set_input_files("#photo", str(path))
            page.locator("#state", has_text=f"{path.name}: judged").wait_for()
            golden = wanted[path.name]
            heading = page.text_content("#verdict")
            assert heading == f"{golden['verdict']}: {golden['label']}", path.name
        page.set_input_files("#photo", str(bad))
        page.locator("#state", has_text="could not be judged").wait_for()
        assert not watch.errors
        others = [url for url in watch.requests if not url.startswith((demo, "blob:", "data:"))]
        assert not others


@needs_node
@pytest.mark.slow
def test_browser_numbers(demo: str, wanted: dict[str, dict[str, Any]]) -> None:
    """In Chromium: how far its own decoder moves tensors and probabilities."""
    with browse(900, 900) as watch:
        # The page forbids eval, by which numbers are fetched from it here.
        page = watch.page.context.browser.new_page(bypass_csp=True)
        page.goto(demo)
        page.locator("#state", has_text="Ready").wait_for()
        assert page.evaluate("crossOriginIsolated")
        for path in PICTURES:
            page.set_input_files("#photo", str(path))
            found = page.evaluate(_CLASSIFY)
            golden = wanted[path.name]
            tensor = np.array(found["tensor"], np.uint8)
            exact = hashlib.sha256(tensor.tobytes()).hexdigest() == golden["tensor_sha256"]
            probability = np.array(list(found["record"]["probabilities"].values()))
            gap = np.abs(probability - golden["probability"]).max()
            print(f"{path.name:24} tensor {'exact' if exact else 'differs'}, off by {gap:.1e}")
            assert gap <= (vectors.TOLERANCE if exact else CANVAS_TOLERANCE), path.name
            assert exact or path.name not in ("strip.png", "tiny.png"), "lossless must be exact"


@needs_node
def test_the_demo_serves_nothing_else(demo: str) -> None:
    for path in (
        "../package.json",
        "%2e%2e/package.json",
        "web/%2e%2e%2fpackage.json",
        "none.mjs",
        "web/x",
    ):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(demo + path)
