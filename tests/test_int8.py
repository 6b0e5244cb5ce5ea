"""int8 models: standard operators, the same contract, near the same answers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import PHOTOS, noise

from faunalens.decode import decode, read_file
from faunalens.kit import vectors
from faunalens.model import Model
from faunalens.preprocess import preprocess
from faunalens_train.int8 import QuantiseError, _kept_in_float, quantise


@pytest.mark.slow
def test_the_shipped_model_in_int8(tmp_path: Path) -> None:
    model = Model()
    pictures = [
        preprocess(decode(read_file(path).data).pixels, model.spec.resize)
        for path in (*vectors.pictures(vectors.folder()), PHOTOS / "jaguars.webp")
    ]
    images = np.stack(pictures)
    out = tmp_path / "int8.onnx"
    quantise(model.path, images, out)
    small = Model(out)  # the loader's own checks: standard operators, outputs, metadata
    assert small.spec == model.spec
    # The matrix of ImageNet's 1000 classes, 5 MB in float32, stays as it is.
    assert out.stat().st_size - 5.2e6 < 0.4 * model.path.stat().st_size
    ours, theirs = model.predict(images), small.predict(images)
    cosine = (ours.embedding * theirs.embedding).sum(1)
    assert cosine.min() > 0.9
    assert np.abs(ours.probability - theirs.probability).mean() < 0.02
    kinds = [node.op_type for node in onnx.load(out).graph.node]
    begins = kinds[: kinds.index("Conv")]
    assert not {"Cast", "Sub"}.intersection(begins), "the photo's bytes feed the first layer"


def test_what_comes_after_the_last_map_stays_in_float() -> None:
    """Poolings, heads and attention; the convolutions before it do not."""
    graph = onnx.load(Model().path)
    kept = set(_kept_in_float(graph))
    of_kind = {kind: [n.name for n in graph.graph.node if n.op_type == kind] for kind in
               ("Conv", "ReduceMean", "ReduceL2", "MatMul", "Sigmoid")}  # fmt: skip
    for kind in ("ReduceMean", "ReduceL2", "MatMul", "Sigmoid"):
        assert of_kind[kind] and set(of_kind[kind]) <= kept, kind
    layers = [name for name in of_kind["Conv"] if name not in kept]
    assert len(layers) == 49  # of EfficientNet-Lite0; heads and directions are the rest


def test_refuses_a_graph_that_begins_otherwise(tiny_model_path: Path, tmp_path: Path) -> None:
    images = noise(32, 64).reshape(2, 32, 32, 3)
    with pytest.raises(QuantiseError, match="expected"):
        quantise(tiny_model_path, images, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()
