"""A torch module as an ONNX graph: for the file that ships, and to compute features quickly."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

OPSET = 18

WORTH_EXPORT = 1000
"""Pictures from which on a graph is exported to compute their features."""

_INPUT, _OUTPUT = "input", "output"


def onnx_graph(
    module: nn.Module, example: Tensor, *, inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Export a module whose first dimension is the number of pictures, which is left open.

    Args:
        module: In evaluation mode.
        example: What it takes, of two pictures or more.
        inputs, outputs: Names for what it takes and returns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own deprecated parts
        program = torch.onnx.export(
            module,
            (example,),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # What the exporter notes about source files of this machine is nobody's business, and would
    # make two exports of the same weights differ.
    for noted in (model, *model.graph.node, *model.graph.input, *model.graph.output):
        del noted.metadata_props[:]
    for described in (model, model.graph, *model.graph.node):
        described.doc_string = ""
    del model.graph.value_info[:]
    return model


def without_gradients(
    forward: Callable[[Tensor], Tensor], net: nn.Module, example: Tensor, count: int
) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]:
    """A part of a network for many pictures: in onnxruntime, or in torch if they are few.

    onnxruntime folds normalisation into convolutions and lays maps out for the CPU; it takes a
    third of torch's time, and the export of the graph some ten seconds. Both compute in float32, as
    the product does.

    Args:
        forward: The part, a method of `net`; float32 out.
        net: Whose weights it uses, in evaluation mode.
        example: See `onnx_graph`.
        count: How many pictures there will be.

    Returns:
        A function of an array like `example`; it uses as many threads as torch.
    """
    if count < WORTH_EXPORT:

        def in_torch(batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                return forward(torch.from_numpy(batch)).numpy()

        return in_torch

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, batch: Tensor) -> Tensor:
            return forward(batch)

    model = onnx_graph(Part().eval(), example, inputs=[_INPUT], outputs=[_OUTPUT])
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def in_onnxruntime(batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = session.run([_OUTPUT], {_INPUT: batch})[0]
        return found

    return in_onnxruntime
