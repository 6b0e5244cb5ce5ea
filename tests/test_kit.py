"""The embedding kit: the contract as written is the contract as shipped."""

import copy
import hashlib
import json
import sys
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from conftest import ROOT, SIDE, noise, tiny_spec, write_tiny_model
from PIL import Image

from faunalens.cli import main
from faunalens.errors import ModelError
from faunalens.kit import vectors
from faunalens.kit.any_size import with_resize
from faunalens.kit.document import embedding_document
from faunalens.kit.figures import figures_of, precision
from faunalens.model import Model, shipped_models
from faunalens.preprocess import preprocess
from faunalens.spec import ModelSpec, ResizeRule

SCHEMA = json.loads((resources.files("faunalens.kit") / "metadata.schema.json").read_text())
RENEW = "renew it: python tests/golden/renew.py"


@pytest.fixture(scope="module")
def shipped() -> list[Model]:
    return [Model(path) for path in shipped_models()]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kit") / "kit"
    done = CliRunner().invoke(main, ["export-kit", str(out)])
    assert done.exit_code == 0, done.output
    return out


def test_the_schema_describes_every_model_that_ships(shipped: list[Model]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for model in shipped:
        jsonschema.validate(json.loads(model.spec.to_json()), SCHEMA)


def test_the_schema_knows_every_field() -> None:
    assert {field.name for field in fields(ModelSpec)} <= set(SCHEMA["properties"])
    assert {field.name for field in fields(ResizeRule)} == set(
        SCHEMA["properties"]["resize"]["properties"]
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema",), 2),
        (("labels",), []),
        (("labels",), ["ivory", "ivory"]),
        (("resize", "filter"), "lanczos"),
        (("resize", "size_px"), 8),
        (("thresholds", "ivory", "alert"), None),
        (("thresholds", "ivory", "alert", "probability"), 1.5),
        (("families", "ivory"), {}),
        (("licence",), 3),
    ],
)
def test_the_schema_and_the_loader_refuse_alike(place: tuple[str, ...], value: Any) -> None:
    raw = json.loads(tiny_spec().to_json())
    jsonschema.validate(raw, SCHEMA)
    inner = raw
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, SCHEMA)
    if place != ("licence",):  # text that is only shown
        with pytest.raises(ModelError):
            ModelSpec.from_json(json.dumps(raw))


def test_golden_vectors_are_of_the_shipped_models(shipped: list[Model]) -> None:
    folder = vectors.folder()
    stored = vectors.read(folder)
    assert [one["sha256"] for one in stored["models"]] == [
        model.identity["sha256"] for model in shipped
    ], RENEW
    for model in shipped:
        assert vectors.check(model, folder) is not None
    assert [one["file"] for one in stored["pictures"]] == [
        path.name for path in vectors.pictures(folder)
    ]
    credits = (folder / "CREDITS.md").read_text(encoding="utf-8")
    for one in stored["pictures"]:
        assert one["file"] in credits
        content = (folder / one["file"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_wrong_resize_is_noticed(shipped: list[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    def nearest(pixels: Any, rule: ResizeRule) -> Any:
        side = (rule.size_px, rule.size_px)
        return np.asarray(Image.fromarray(pixels).resize(side, Image.Resampling.NEAREST))

    monkeypatch.setattr(vectors, "preprocess", nearest)
    with pytest.raises(ModelError, match="decoded or resized otherwise"):
        vectors.check(shipped[0], vectors.folder())


def test_wrong_probabilities_are_noticed(
    shipped: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = copy.deepcopy(vectors.read(vectors.folder()))
    stored["models"][0]["vectors"][0]["probability"][0] += 0.01
    monkeypatch.setattr(vectors, "read", lambda where: stored)
    with pytest.raises(ModelError, match="differ by"):
        vectors.check(shipped[0], vectors.folder())


def test_the_document_follows_the_model(shipped: list[Model]) -> None:
    stored = (ROOT / "inference" / "EMBEDDING.md").read_text(encoding="utf-8")
    assert stored == embedding_document(shipped[0]), RENEW


def test_figures_are_of_the_shipped_model(shipped: list[Model]) -> None:
    figures = figures_of(shipped[0].identity["sha256"])
    assert figures is not None, "measure it: faunalens-train operating-points train/recipes/…"
    assert set(figures["labels"]) == set(shipped[0].spec.labels)
    for label, one in figures["labels"].items():
        for name in ("alert", "review"):
            threshold = getattr(shipped[0].spec.thresholds[label], name)
            assert one["points"][name]["threshold"] == pytest.approx(threshold.probability)


def test_precision() -> None:
    assert precision(1.0, 0.0, 0.001) == 1
    assert precision(0.5, 0.5, 0.01) == pytest.approx(0.01)
    assert precision(0.0, 0.0, 0.01) == 0


def test_the_kit_is_complete_and_its_checksums_hold(kit: Path, shipped: list[Model]) -> None:
    lines = (kit / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    written = {path.relative_to(kit).as_posix() for path in kit.rglob("*") if path.is_file()}
    assert set(sums) == written - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((kit / name).read_bytes()).hexdigest() == digest
    assert written >= {
        "faunalens.onnx",
        "faunalens-any-size.onnx",
        "faunalens.metadata.json",
        "metadata.schema.json",
        "EMBEDDING.md",
        "LICENSE",
        "labels.toml",
        "sbom.cdx.json",
        "golden/vectors.json",
    }
    assert sums["faunalens.onnx"] == shipped[0].identity["sha256"]
    golden = json.loads((kit / "golden" / "vectors.json").read_text())
    for one in golden["models"]:
        for vector in one["vectors"]:
            tensor = kit / "golden" / "tensors" / Path(one["file"]).stem / f"{vector['file']}.rgb"
            assert hashlib.sha256(tensor.read_bytes()).hexdigest() == vector["tensor_sha256"]
    parts = json.loads((kit / "sbom.cdx.json").read_text())["components"]
    assert {"onnxruntime", "numpy", "pillow"} <= {part["name"] for part in parts}


def test_without_its_extra_the_command_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "faunalens.kit.any_size", raising=False)
    monkeypatch.delitem(sys.modules, "faunalens.kit.document", raising=False)
    done = CliRunner().invoke(main, ["export-kit", str(tmp_path / "kit")])
    assert done.exit_code == 1
    assert "pip install 'faunalens[kit]'" in done.output
    assert not (tmp_path / "kit").exists()


def test_the_kit_never_overwrites(kit: Path) -> None:
    done = CliRunner().invoke(main, ["export-kit", str(kit)])
    assert done.exit_code == 1
    assert "not an empty folder" in done.output


def test_a_kit_of_another_model(tiny_model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    onnx.save(onnx.version_converter.convert_version(onnx.load(tiny_model_path), 18), path)
    out = tmp_path / "kit"
    done = CliRunner().invoke(main, ["export-kit", str(out), "--model", str(path)])
    assert done.exit_code == 0, done.output
    assert "no golden vectors of this file ship" in done.output
    golden = json.loads((out / "golden" / "vectors.json").read_text())
    assert [one["file"] for one in golden["models"]] == ["own.onnx"]
    assert "Nothing was measured" in (out / "EMBEDDING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [(640, 480), (31, 900), (300, 20), (SIDE, SIDE), (1, 1)])
def test_the_graph_resizes_as_pillow(shipped: list[Model], size: tuple[int, int]) -> None:
    """At most one grey level, in at most one value of a thousand."""
    model = shipped[0]
    content = with_resize(model.path.read_bytes(), model.spec.resize)
    opened = onnx.load_from_string(content)
    opened.graph.output.append(onnx.ValueInfoProto(name="resized"))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    pixels = noise(*size)
    resized, probability = session.run(["resized", "probability"], {"image": pixels[None]})
    wanted = preprocess(pixels, model.spec.resize)
    gap = np.abs(resized[0].astype(int) - wanted)
    assert gap.max() <= 1
    assert (gap > 0).mean() <= 1e-3
    own = model.predict(wanted[None]).probability
    assert np.abs(probability - own).max() < 0.02


def test_padding_has_no_any_size_variant(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx")
    with pytest.raises(ModelError, match="padding 'grey'"):
        with_resize(path.read_bytes(), ResizeRule(SIDE, padding="grey"))
