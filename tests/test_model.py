"""Model files: what is accepted, and what is refused with a reason."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import SIDE, tiny_spec

from faunalens.errors import ModelError
from faunalens.model import Model
from faunalens.onnx_file import check_file
from faunalens.spec import METADATA_KEY, ModelSpec


def test_predicts(tiny_model: Model) -> None:
    images = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    images[1, ..., 0] = 255
    prediction = tiny_model.predict(images)
    count = len(tiny_model.spec.labels)
    assert prediction.probability.shape == (3, count)
    assert prediction.evidence.shape == (3, count, *tiny_model.evidence_shape)
    assert prediction.probability[1].argmax() == tiny_model.spec.labels.index("ivory")
    assert np.linalg.norm(prediction.embedding[1]) == pytest.approx(1)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, SIDE, SIDE, 3), np.float32),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((1, SIDE + 1, SIDE, 3), np.uint8),
    ],
)
def test_refuses_other_input(tiny_model: Model, images: Any) -> None:
    with pytest.raises(ValueError, match=f"expected \\(N, {SIDE}, {SIDE}, 3\\) uint8"):
        tiny_model.predict(images)


def _metadata(**change: Any) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        raw = json.loads(tiny_spec().to_json())
        for key, value in change.items():
            if value is None:
                del raw[key]
            else:
                raw[key] = value
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(raw)})

    return edit


def _no_metadata(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def _text_metadata(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = "{"


def _drop_output(model: onnx.ModelProto) -> None:
    del model.graph.output[2]


def _float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "evil.example"


def _vendor_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


def _operator_in_a_branch(model: onnx.ModelProto) -> None:
    inner = onnx.helper.make_node("Run", [], ["x"], domain="evil.example")
    branch = onnx.helper.make_graph([inner], "branch", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["x"], then_branch=branch))


def _own_function(model: onnx.ModelProto) -> None:
    function = onnx.helper.make_function(
        "evil.example", "Run", ["x"], ["y"], [], [onnx.helper.make_opsetid("", 17)]
    )
    model.functions.append(function)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_no_metadata, "no 'faunalens' metadata"),
        (_text_metadata, "malformed"),
        (_metadata(schema=2), "schema 2"),
        (_metadata(labels=None), "malformed"),
        (_metadata(surprise=1), "malformed"),
        (_metadata(thresholds={}), "differ"),
        (_metadata(labels=["ivory"]), "differ"),
        (_metadata(resize={"size_px": 64, "library": "pillow"}), "breaks the model contract"),
        (_metadata(resize={"size_px": SIDE, "filter": "lanczos"}), "resize.filter"),
        (_metadata(families={}), "exactly one family"),
        (_drop_output, "output 'evidence' is missing"),
        (_float_input, "tensor\\(uint8\\)"),
        (_custom_operator, "operators of 'evil.example'"),
        (_vendor_operator_set, "operators of 'com.microsoft'"),
        (_operator_in_a_branch, "operators of 'evil.example'"),
        (_own_function, "functions of its own"),
    ],
)
def test_refuses_file(
    tiny_model_path: Path,
    tmp_path: Path,
    edit: Callable[[onnx.ModelProto], None],
    message: str,
) -> None:
    model = onnx.load(tiny_model_path)
    edit(model)
    path = tmp_path / "edited.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=message):
        Model(path)


def test_refuses_rubbish_and_missing(tmp_path: Path) -> None:
    path = tmp_path / "rubbish.onnx"
    path.write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="not a usable ONNX model"):
        Model(path)
    with pytest.raises(ModelError, match="cannot read model file"):
        Model(tmp_path / "none.onnx")


def test_external_data_is_not_followed(tiny_model_path: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_model_path)
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\0" * 4096)
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", str(secret)), ("offset", "0"), ("length", "168")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path = tmp_path / "external.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="weights in another file"):
        Model(path)


def test_a_file_cut_anywhere_is_refused_not_a_crash(tiny_model_path: Path, tmp_path: Path) -> None:
    content = tiny_model_path.read_bytes()
    path = tmp_path / "cut.onnx"
    for length in range(0, len(content) - 1, 97):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            Model(path)


def test_flipped_bytes_are_refused_or_read_never_a_crash(tiny_model_path: Path) -> None:
    content = tiny_model_path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(content)
        for place in rng.integers(len(content), size=4):
            changed[place] = rng.integers(256)
        with contextlib.suppress(ModelError):
            check_file(bytes(changed))


def test_spec_round_trip() -> None:
    spec = tiny_spec()
    assert ModelSpec.from_json(spec.to_json()) == spec
