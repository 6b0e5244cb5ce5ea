"""The network alone on one core against other ways to run it, all in one run.

    python tests/benchmarks/network_speed.py [--previous FILE] [--int8 FILE]

`--previous`: the model of the release before, for instance
`git show TAG:inference/faunalens/faunalens.onnx > FILE`. NudeNet (`pip install nudenet==3.4.2`) and
OpenVINO (`pip install openvino`) take part if they are installed. Figures are processor time, which
neighbours on the machine disturb least, and its ratio to ours; only the ratios travel.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from faunalens.model import Model, shipped_model_path

_OURS = "faunalens, onnxruntime fp32"
Run = Callable[[], object]


def onnx_runtime(path: Path) -> Run:
    """Any ONNX file with one input, in onnxruntime; a probability alone where it is ours."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    if entry.type == "tensor(float)" and shape[2:] == [1, 1]:  # NudeNet names its side nowhere
        shape[2:] = [320, 320]
    dtype = np.uint8 if entry.type == "tensor(uint8)" else np.float32
    feed = {entry.name: np.zeros(shape, dtype)}
    names = [output.name for output in session.get_outputs()]
    wanted = ["probability"] if "probability" in names else None
    return lambda: session.run(wanted, feed)


def openvino(path: Path, precision: str) -> Run:
    """Ours in OpenVINO, at `f32` or `bf16`."""
    from openvino import Core

    side = Model(path).spec.resize.size_px
    core = Core()
    network = core.read_model(str(path))
    network.reshape({"image": [1, side, side, 3]})
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    feed = {"image": np.zeros((1, side, side, 3), np.uint8)}
    return lambda: request.infer(feed)


def torch_timm(backbone: str, side: int, *, compiled: bool) -> Run:
    """The same backbone from timm with random weights, in PyTorch."""
    import timm
    import torch

    torch.set_num_threads(1)
    network: Any = timm.create_model(backbone, num_classes=14).eval()
    if compiled:
        network = torch.compile(network)
    image = torch.zeros(1, 3, side, side)

    def run() -> object:
        with torch.inference_mode():
            return network(image)

    return run


def contenders(
    previous: Path | None, int8: Path | None, backbone: str, *, compiled: bool
) -> dict[str, Run]:
    """Name to a function that judges one photo; ours comes first."""
    path = shipped_model_path()
    side = Model(path).spec.resize.size_px
    found: dict[str, Run] = {_OURS: onnx_runtime(path)}
    if int8:
        found["faunalens int8, onnxruntime"] = onnx_runtime(int8)
    if importlib.util.find_spec("openvino"):
        found["faunalens, OpenVINO fp32"] = openvino(path, "f32")
        found["faunalens, OpenVINO bf16"] = openvino(path, "bf16")
    if previous:
        found["previous release, onnxruntime"] = onnx_runtime(previous)
    found[f"timm {backbone}, eager"] = torch_timm(backbone, side, compiled=False)
    if compiled:
        found[f"timm {backbone}, torch.compile"] = torch_timm(backbone, side, compiled=True)
    package = importlib.util.find_spec("nudenet")
    if package and package.origin:
        found["NudeNet 320n, onnxruntime"] = onnx_runtime(Path(package.origin).parent / "320n.onnx")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--previous", type=Path)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    runs = contenders(options.previous, options.int8, options.backbone, compiled=options.compile)
    for run in runs.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            run()  # what the one before left in the caches is gone
            best = []
            for _ in range(3):
                started = time.process_time()
                run()
                best.append(time.process_time() - started)
            times[name].append(1000 * min(best))
    for name, own in times.items():
        ratios = sorted(b / a for a, b in zip(times[_OURS], own, strict=True))
        print(
            f"{name:40} {statistics.median(own):6.2f} ms   {statistics.median(ratios):5.2f} times "
            f"ours ({ratios[len(ratios) // 10]:.2f}-{ratios[-len(ratios) // 10]:.2f})"
        )


if __name__ == "__main__":
    main()
