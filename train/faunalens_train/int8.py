"""A model file to int8 weights and activations, in the form that CPUs run fast.

What makes it fast in onnxruntime, each measured (`tests/benchmarks/int8.py`):

- unsigned, asymmetric activations: Clip(0, 6) is then nothing but the range of the quantisation and
  disappears; with signed symmetric ones it stays, and with it 34 pairs of Dequantize and Quantize;
- the photo's bytes feed the first layer as they are, instead of Cast, Sub, Div and Quantize;
- the head and the poolings, which cost little and set the answer, stay in float.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from faunalens.errors import FaunalensError
from faunalens.model import INPUT

Images = npt.NDArray[np.uint8]

_BEFORE_FIRST_LAYER = ["QuantizeLinear", "Div", "Sub", "Cast", "Transpose"]
_ZERO = 128  # of the photo's bytes; x / 127.5 - 1 has 127.5, half a grey level away


class QuantiseError(FaunalensError):
    """The graph is not one that this file knows to quantise."""


def quantise(
    model: Path,
    images: Images,
    out: Path,
    *,
    activations: str = "u8",
    weights: str = "s8",
    per_channel: bool = True,
    reduce_range: bool = False,
    symmetric: bool = False,
    direct: bool = True,
) -> None:
    """Post-training static quantisation (Jacob et al. 2018, arXiv:1712.05877), written as QDQ.

    Args:
        model: A model file that keeps the contract.
        images: `(N, S, S, 3)` uint8 RGB whose activations set the ranges (least and largest).
        out: The int8 file; metadata and outputs are those of `model`.
        activations, weights: `u8` or `s8`.
        per_channel: One scale for each output channel of a weight.
        reduce_range: Weights of 7 bits: without VNNI, sums of 8-bit products saturate.
        symmetric: Activations with zero point 0.
        direct: Feed the bytes of the photo to the first layer.

    Raises:
        QuantiseError: The graph begins otherwise than ours do.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._each: Iterator[Images] = iter(images)

        def get_next(self) -> dict[str, Images] | None:
            image = next(self._each, None)
            return None if image is None else {INPUT: image[None]}

    kinds = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
    source = onnx.load(model)
    with tempfile.TemporaryDirectory() as folder:
        prepared, part = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(part),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Clip"],
            per_channel=per_channel,
            reduce_range=reduce_range,
            activation_type=kinds[activations],
            weight_type=kinds[weights],
            nodes_to_exclude=_kept_in_float(onnx.load(prepared)),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": symmetric},
        )
        made = onnx.load(part)
    if direct:
        _feed_bytes(made.graph)
    del made.metadata_props[:]
    made.metadata_props.extend(source.metadata_props)
    # The tool asks for a vendor's operator set that the graph does not use.
    standard = [entry for entry in made.opset_import if entry.domain in ("", "ai.onnx")]
    del made.opset_import[:]
    made.opset_import.extend(standard)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, out)


def _kept_in_float(model: Any) -> list[str]:
    """Everything that leads to no layer of the backbone, which ends in a convolution's last ReLU6.

    There is one more Clip after it, under the length of the embedding.
    """
    graph = model.graph
    convolved = {name for node in graph.node if node.op_type == "Conv" for name in node.output}
    trunk: set[str] = set()
    for node in reversed(graph.node):  # in topological order
        ends = not trunk and node.op_type == "Clip" and node.input[0] in convolved
        if ends or trunk.intersection(node.output):
            trunk.update(node.output, node.input)
    return [node.name for node in graph.node if not trunk.intersection(node.output)]


def _feed_bytes(graph: Any) -> None:
    by_output = {node.output[0]: node for node in graph.node}
    first = next((node for node in graph.node if node.op_type == "QuantizeLinear"), None)
    if first is None:
        raise QuantiseError(f"nothing of the graph was quantised, expected {_BEFORE_FIRST_LAYER}")
    chain = [first]
    while chain[-1].op_type != "Transpose" and chain[-1].input[0] in by_output:
        chain.append(by_output[chain[-1].input[0]])
    kinds = [node.op_type for node in chain]
    if kinds != _BEFORE_FIRST_LAYER:
        raise QuantiseError(f"the graph begins with {kinds}, expected {_BEFORE_FIRST_LAYER}")
    (reader,) = (node for node in graph.node if first.output[0] in node.input)
    for place, name in enumerate((chain[-1].output[0], "byte_scale", "byte_zero")):
        reader.input[place] = name
    for name, value in (("byte_scale", np.float32(1 / 127.5)), ("byte_zero", np.uint8(_ZERO))):
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    for node in chain[:-1]:
        graph.node.remove(node)
