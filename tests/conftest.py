"""Shared fixtures: a 5 kB model that keeps the contract, drawn photos, the places of things."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from faunalens.labels import load_labels
from faunalens.limits import FamilySpec, SecondModel, Threshold, Thresholds
from faunalens.model import Model
from faunalens.spec import METADATA_KEY, ModelSpec, ResizeRule

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "tests" / "photos"
RESEARCH = ROOT.parent / "shared" / "dataset"

# A background job of a shell ignores Ctrl-C, and so does all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SIDE = 32
# R, G, B from 0 to 255; and which of them each of these labels answers to in the tiny model.
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
COLOURS = {"ivory": RED, "live_snake": GREEN, "live_lizard": BLUE}


def tiny_spec() -> ModelSpec:
    """A spec over all labels: alert at 0.9, review at 0.5, families as in the label list."""
    known = load_labels()
    thresholds = Thresholds(Threshold(0.9, 0.001), Threshold(0.5, 0.01))
    families = {}
    for family in known.families:
        members = tuple(label.id for label in known.labels_of(family.id))
        families[family.id] = FamilySpec(members, thresholds if len(members) > 1 else None)
    return ModelSpec(
        name="tiny",
        version="0.0.1",
        labels=known.ids,
        families=families,
        thresholds={label: thresholds for label in known.ids},
        resize=ResizeRule(SIDE),
        calibration={"method": "none"},
        dataset={"fingerprint": "0" * 64},
        licence="Apache-2.0",
        commit="unknown",
    )


def write_tiny_model(path: Path, spec: ModelSpec | None = None) -> Path:
    """A network that knows three colours: probability near 1 for a photo of that colour alone.

    For each label in COLOURS, evidence = w . rgb - 8 with w = 16 for the label's own channel and
    -16 for the others; all other labels get -8 everywhere.
    """
    spec = spec or tiny_spec()
    count = len(spec.labels)
    weight = np.zeros((count, 3, 1, 1), np.float32)
    for label, colour in COLOURS.items():
        weight[spec.labels.index(label), :, 0, 0] = [16.0 if c else -16.0 for c in colour]
    bias = np.full(count, -8.0, np.float32)
    cells = SIDE // 8
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["nchw", "scale"], ["scaled"]),
        helper.make_node("AveragePool", ["scaled"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["cells", "weight", "bias"], ["evidence"]),
        helper.make_node("ReduceMean", ["evidence"], ["logit"], axes=[2, 3], keepdims=0),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
        helper.make_node("GlobalAveragePool", ["cells"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("LpNormalization", ["flat"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", count]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info(
                "evidence", TensorProto.FLOAT, ["N", count, cells, cells]
            ),
        ],
        [
            numpy_helper.from_array(np.array(255, np.float32), "scale"),
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def joint_spec(sha256: str, **changes: object) -> ModelSpec:
    """A first model in doubt about all that is a little red, and joined half and half."""
    spec = tiny_spec()
    limits = Thresholds(Threshold(0.8, 0.001), Threshold(0.005, 0.01))
    second = SecondModel(
        file="sharp.onnx",
        sha256=sha256,
        doubt={"ivory": 0.0005},
        weights=((0.5,) * len(spec.labels),) * 2,
        offset=(0.0,) * len(spec.labels),
        zoom_penalty=(0.25,) * len(spec.labels),
        thresholds={label: limits for label in spec.labels},
        families={key: replace(family, thresholds=None) for key, family in spec.families.items()},
    )
    return replace(spec, second=replace(second, **changes))  # type: ignore[arg-type]


def plain(colour: tuple[int, int, int], width: int = 64, height: int = 48) -> Image.Image:
    """A picture of one colour."""
    return Image.new("RGB", (width, height), colour)


def png(colour: tuple[int, int, int], path: Path) -> Path:
    """A PNG of one colour at the path, which comes back."""
    plain(colour).save(path, "PNG")
    return path


def noise(width: int, height: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """`(height, width, 3)` uint8 random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def tiny_model(tiny_model_path: Path) -> Model:
    return Model(tiny_model_path)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A first and a second model in one folder; the path of the first."""
    sharp = Model(write_tiny_model(tmp_path / "sharp.onnx", replace(tiny_spec(), name="sharp")))
    return write_tiny_model(tmp_path / "first.onnx", joint_spec(sharp.identity["sha256"]))


@pytest.fixture(scope="module")
def server(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the web app, running with the tiny model."""
    from serving import serving

    from faunalens.pipeline import Classifier

    uploads = tmp_path_factory.mktemp("uploads")
    with serving(Classifier(Model(tiny_model_path)), uploads) as address:
        yield address


@pytest.fixture(scope="session")
def research() -> Path:
    """The research pictures, which are not part of the project."""
    if not (RESEARCH / "manifest.csv").is_file():
        pytest.skip(f"the research pictures are not at {os.path.relpath(RESEARCH, ROOT)}")
    return RESEARCH
