"""One way to judge photos, timed in a process of its own; run by `against_others.py`.

    python tests/benchmarks/peers.py WAY LIST --side 224 --cores 2

LIST is a text file of photo paths. Prints seconds on the clock and of the processor for a photo;
start-up and first run are left out.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM = 4  # photos judged before the clock starts
_BATCH = 32  # of the DataLoader
_TASK = 8  # photos in one run of the network, as in `scan`

Run = Callable[[Sequence[str]], int]
"""Judges photos and returns how many it judged."""


@dataclass(frozen=True)
class Setting:
    """What all ways share: the network, its input side in px, and the cores each may use."""

    backbone: str
    side: int
    cores: int


def plain_loop(setting: Setting) -> Run:
    """What a first script does: full decode, timm's transform, one photo a time, eager."""
    import torch
    from PIL import Image

    network, transform = _timm(setting, 1)

    def run(paths: Sequence[str]) -> int:
        with torch.inference_mode():
            for path in paths:
                with Image.open(path) as image:
                    tensor = transform(image.convert("RGB"))
                network(tensor[None]).sigmoid().numpy()
        return len(paths)

    return run


def data_loader(setting: Setting) -> Run:
    """The same in batches, decoded by as many DataLoader workers as there are cores."""
    import torch
    from torch.utils.data import DataLoader

    network, transform = _timm(setting, _BATCH)

    def run(paths: Sequence[str]) -> int:
        photos: Any = _Photos(paths, transform)
        loader = DataLoader[Any](photos, batch_size=_BATCH, num_workers=setting.cores)
        judged = 0
        with torch.inference_mode():
            for batch in loader:
                judged += len(network(batch).sigmoid().numpy())
        return judged

    return run


def nudenet(setting: Setting) -> Run:
    """NudeNet's own batch call, as its README shows it: the ONNX detector that platforms embed.

    Its network has its own side (320 px); onnxruntime takes the cores it finds.
    """
    from nudenet import NudeDetector

    detector = NudeDetector()

    def run(paths: Sequence[str]) -> int:
        return len(detector.detect_batch(list(paths)))

    return run


def decode_alone(setting: Setting) -> Run:
    """Only what makes a model input of a file: read, decode, resize. One core."""
    from faunalens.pipeline import Classifier

    to_input = Classifier().model_input

    def run(paths: Sequence[str]) -> int:
        return sum(to_input(Path(path).read_bytes())[1].shape[0] == setting.side for path in paths)

    return run


def network_alone(setting: Setting) -> Run:
    """Only the network, on one input again and again in batches as `scan` makes them."""
    import numpy as np

    from faunalens.model import Model

    model = Model()
    batch = np.random.default_rng(0).integers(
        0, 256, (_TASK, setting.side, setting.side, 3), np.uint8
    )

    def run(paths: Sequence[str]) -> int:
        judged = 0
        while judged < len(paths):
            judged += len(model.predict(batch).probability)
        return judged

    return run


def second_alone(setting: Setting) -> Run:
    """Only the second model's network, one input a time as a second look does it. One core."""
    import numpy as np

    from faunalens.model import Model
    from faunalens.second import open_second

    model = open_second(Model())
    side = model.spec.resize.size_px
    photo = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)

    def run(paths: Sequence[str]) -> int:
        return sum(len(model.predict(photo).probability) for _ in paths)

    return run


WAYS = {
    "plain-loop": plain_loop,
    "data-loader": data_loader,
    "nudenet": nudenet,
    "decode-alone": decode_alone,
    "network-alone": network_alone,
    "second-alone": second_alone,
}


class _Photos:
    """A map-style data set of photo files."""

    def __init__(self, paths: Sequence[str], transform: Callable[[Any], Any]) -> None:
        self._paths = paths
        self._transform = transform

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        with Image.open(self._paths[index]) as image:
            return self._transform(image.convert("RGB"))


def _timm(setting: Setting, batch: int) -> tuple[Any, Any]:
    """The backbone with random weights (speed does not depend on them), and its transform.

    PyTorch gets the number of threads, 1 or all cores, with which it is faster here and now.
    """
    import timm
    import torch

    network = timm.create_model(setting.backbone, num_classes=14).eval()
    size = (3, setting.side, setting.side)
    config = timm.data.resolve_data_config({"input_size": size}, model=network)
    blank = torch.zeros(batch, *size)
    seconds = {}
    for threads in (1, setting.cores):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            network(blank)
            started = time.perf_counter()
            for _ in range(3):
                network(blank)
            seconds[threads] = time.perf_counter() - started
    torch.set_num_threads(min(seconds, key=seconds.__getitem__))
    return network, timm.data.create_transform(**config)


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("list", type=Path)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--cores", type=int, required=True)
    options = parser.parse_args()
    paths = options.list.read_text(encoding="utf-8").splitlines()
    run = WAYS[options.way](Setting(options.backbone, options.side, options.cores))
    run(paths[:WARM])
    started, busy = time.perf_counter(), cpu_seconds()
    judged = run(paths)
    print((time.perf_counter() - started) / judged, (cpu_seconds() - busy) / judged)


if __name__ == "__main__":
    main()
