"""The model with the resize inside its graph: a client only decodes. Needs `onnx`."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from faunalens.errors import ModelError
from faunalens.model import INPUT
from faunalens.spec import ResizeRule

SUFFIX = "-any-size.onnx"
_OPSET = 18  # the first in which Resize can antialias
_RESIZED = "resized"
# Keys' cubic with a = -1/2, which is Pillow's; without weights outside the photo, as Pillow does.
_FILTERS: dict[str, dict[str, str | float]] = {
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5},
    "bilinear": {"mode": "linear"},
}


def with_resize(content: bytes, rule: ResizeRule) -> bytes:
    """A model file whose input `image` is uint8 `[1, H, W, 3]` of any size.

    The resize runs on uint8, where onnxruntime's antialiased Resize rounds as Pillow does.
    Outputs, weights and metadata are those of the given file.

    Args:
        content: A model file that keeps the contract.
        rule: Its resize rule.

    Raises:
        ModelError: The rule pads, which no standard operator does alike.
    """
    if rule.padding != "none":
        raise ModelError(
            f"no any-size variant for padding {rule.padding!r}: ONNX Resize only stretches"
        )
    model = onnx.load_from_string(content)
    graph, side = model.graph, rule.size_px
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == INPUT:
                node.input[index] = _RESIZED
    front = [
        helper.make_node("Transpose", [INPUT], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Resize",
            ["planes", "", "", "resized_shape"],
            ["resized_planes"],
            antialias=1,
            exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
            **_FILTERS[rule.filter],  # type: ignore[arg-type]
        ),
        helper.make_node("Transpose", ["resized_planes"], [_RESIZED], perm=[0, 2, 3, 1]),
    ]
    nodes = [*front, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    shape = np.array([1, 3, side, side], np.int64)
    graph.initializer.append(numpy_helper.from_array(shape, "resized_shape"))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, "H", "W", 3]))
    for output in graph.output:
        output.type.tensor_type.shape.dim[0].Clear()
        output.type.tensor_type.shape.dim[0].dim_value = 1
    opset = next(entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset.version < _OPSET:
        raise ModelError(f"the model has opset {opset.version}, an antialiased Resize {_OPSET}")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"no any-size variant of this model: {error}") from error
    return bytes(model.SerializeToString(deterministic=True))
