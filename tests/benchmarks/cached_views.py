"""How much sooner the cached views of training are ready: objects cut out once, onnxruntime.

    python tests/benchmarks/cached_views.py train/recipes/first.toml [--photos 40]

Draws changed views of some of the recipe's pictures, as `faunalens-train fit` does before it caches
what the frozen stages make of them. Processor time of one thread, all in one run: of a view, with
each photo's object cut out once and for every view; of the frozen stages, in onnxruntime and torch.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from faunalens.decode import decode, read_file
from faunalens.labels import load_labels
from faunalens.preprocess import preprocess
from faunalens.spec import ResizeRule
from faunalens_train import graph
from faunalens_train.config import TrainConfig
from faunalens_train.cutout import LastCut, Mask, cut_out
from faunalens_train.dataset import Parts, TrainingViews, load_parts
from faunalens_train.net import FaunaNet
from faunalens_train.recipe import load_config

_BATCH = 40


class Forgetful(LastCut):
    """Cuts every time."""

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Mask | None:
        return cut_out(pixels)


def drawn(config: TrainConfig, parts: Parts, photos: int, cut: LastCut) -> npt.NDArray[np.uint8]:
    """`(V, S, S, 3)` views, the same whatever cuts."""
    torch.manual_seed(0)
    rule = ResizeRule(config.net.size_px)
    kinds = ((config.augment, config.fit.cached_views), (config.harder, config.fit.harder_views))
    views = [
        TrainingViews(replace(config, augment=edits), parts.every, parts.cells, parts.images, cut)
        for edits, count in kinds
        for _ in range(count)
    ]
    out = []
    for row in parts.train[:: max(1, len(parts.train) // photos)][:photos]:
        pixels = decode(read_file(parts.images / row.file).data).pixels
        out += [preprocess(view(pixels, row), rule) for view in views]
    return np.stack(out)


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--photos", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(args.recipe)
    labels = load_labels().ids
    parts = load_parts(config.data, labels, "part")

    once, always = (
        partial(drawn, config, parts, args.photos, cut) for cut in (LastCut(), Forgetful())
    )
    views = once()
    assert np.array_equal(views, always())
    times = {"cut once": seconds(once), "cut for every view": seconds(always)}
    table(f"drawing {len(views)} views of {args.photos} photos", times, len(views))

    net = FaunaNet(config.net, len(labels)).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    example = torch.from_numpy(views[:2])
    ours = graph.without_gradients(net.frozen, net, example, graph.WORTH_EXPORT)
    plain = graph.without_gradients(net.frozen, net, example, 0)

    def bf16(batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        net.amp_frozen = True
        try:
            return plain(batch)
        finally:
            net.amp_frozen = False

    batches = [views[start : start + _BATCH] for start in range(0, len(views), _BATCH)]
    times = {}
    for name, run in (("onnxruntime", ours), ("torch", plain), ("torch in bf16", bf16)):
        run(batches[0])
        times[name] = seconds(partial(list, map(run, batches)))
    table("frozen stages", times, len(views))


def table(title: str, times: dict[str, float], views: int) -> None:
    """Prints milliseconds for a view, and how often the first one's they are."""
    print(title)
    first = next(iter(times.values()))
    for name, value in times.items():
        print(f"  {name:20} {1000 * value / views:7.1f} ms a view  {value / first:5.2f} times")


if __name__ == "__main__":
    main()
