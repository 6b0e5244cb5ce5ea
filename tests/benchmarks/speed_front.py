"""Recall against milliseconds: frozen backbones with a linear probe, at several input sizes.

    python tests/benchmarks/speed_front.py train/recipes/first.toml --out inference/speed_front.json
    python tests/benchmarks/speed_front.py --plot --out inference/speed_front.json

A probe is no trained model, and a point no product: what counts is the order of the points.
Recall is at 1 % false positives over all negatives of the test part, the mean of the labels; once
of the photos, and once of sheets of two by two photos with each in one corner, which is how small
objects are in adverts. Probes are fitted on a fixed sample of the training part. Milliseconds are
processor time of one core in onnxruntime fp32, the points taking turns, so that their ratios hold
on a machine with neighbours.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from faunalens.decode import decode, read_file
from faunalens.labels import load_labels
from faunalens.preprocess import preprocess
from faunalens.spec import ResizeRule
from faunalens_data.row import Row
from faunalens_train.config import NetConfig, TrainConfig
from faunalens_train.dataset import draw_weights, load_parts, targets
from faunalens_train.edits import collage
from faunalens_train.metrics import label_metrics
from faunalens_train.net import FaunaNet
from faunalens_train.probe import fit_probe, mean_decays
from faunalens_train.recipe import load_config

POINTS = (
    *(("tf_efficientnet_lite0", size) for size in (128, 160, 192, 224)),
    *(("tf_efficientnet_lite1", size) for size in (192, 240)),
    ("tf_efficientnet_lite2", 192),
    ("tf_efficientnet_lite2", 260),
)
_ROUNDS = 15


class _Features(nn.Module):
    """`(N, S, S, 3)` uint8 to pooled features `(N, D)`."""

    def __init__(self, net: FaunaNet) -> None:
        super().__init__()
        self.net = net.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.net.maps(images)[-1].mean((2, 3))


def write_backbone(backbone: str, size: int, path: Path) -> None:
    """An ONNX file of the frozen backbone."""
    net = _Features(FaunaNet(NetConfig(backbone, size_px=size), 1))
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (example,), str(path), input_names=["image"], dynamo=False)


def open_session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measure(config: TrainConfig, train_pictures: int) -> list[dict[str, Any]]:
    """Recall and milliseconds of every point."""
    labels = load_labels().ids
    parts = load_parts(config.data, labels, "part")
    train, share = _sample(parts.train, config, train_pictures)
    beside = [row for row in parts.train if row.is_negative][:: max(1, len(parts.train) // 40)]
    others = [Image.fromarray(_pixels(row, parts.images)) for row in beside]
    with tempfile.TemporaryDirectory() as folder:
        sessions = {}
        for backbone, size in tqdm(POINTS, desc="export", disable=None):
            path = Path(folder) / f"{backbone}-{size}.onnx"
            write_backbone(backbone, size, path)
            sessions[backbone, size] = open_session(path)
        features: dict[tuple[str, int], list[Any]] = {point: [] for point in POINTS}
        sheets: dict[tuple[str, int], list[Any]] = {point: [] for point in POINTS}
        for number, row in enumerate(
            tqdm([*train, *parts.test], desc="features", unit="picture", disable=None)
        ):
            pixels = _pixels(row, parts.images)
            _add(features, sessions, pixels)
            if number >= len(train):
                three = [others[(number + k) % len(others)] for k in range(3)]
                _add(sheets, sessions, np.asarray(collage(Image.fromarray(pixels), three)))
        times = _times(sessions)
    wanted = {
        "train": targets(train, labels, config.data.unknown),
        "test": targets(parts.test, labels, config.data.unknown),
    }
    found = []
    for point in POINTS:
        stacked = np.stack(features[point])
        weight, bias = fit_probe(
            stacked[: len(train)],
            wanted["train"],
            share,
            mean_decays(range(len(labels)), config.fit),
        )
        of_photos, of_sheets = (
            label_metrics(
                (shown @ weight.numpy().T + bias.numpy()).astype(np.float64),
                wanted["test"],
                parts.test,
                labels,
            )
            for shown in (stacked[len(train) :], np.stack(sheets[point]))
        )
        found.append(
            {
                "backbone": point[0],
                "size_px": point[1],
                "ms": round(statistics.median(times[point]), 3),
                "recall": _mean(of_photos, "recall@0.01"),
                "recall_sheets": _mean(of_sheets, "recall@0.01"),
                "ivory": round(of_photos["ivory"]["recall@0.01"], 4),
                "auroc": _mean(of_photos, "auroc"),
            }
        )
    return found


def _pixels(row: Row, images: Path) -> npt.NDArray[np.uint8]:
    return decode(read_file(images / row.file).data).pixels


def _add(
    features: dict[tuple[str, int], list[Any]],
    sessions: dict[tuple[str, int], ort.InferenceSession],
    pixels: npt.NDArray[np.uint8],
) -> None:
    """One picture's features by every point."""
    resized = {size: preprocess(pixels, ResizeRule(size)) for size in {size for _, size in POINTS}}
    for point, loaded in sessions.items():
        features[point].append(loaded.run(None, {"image": resized[point[1]][None]})[0][0])


def _mean(figures: Mapping[str, Mapping[str, Any]], key: str) -> float:
    return round(float(np.mean([one[key] for one in figures.values()])), 4)


def _sample(rows: list[Any], config: TrainConfig, count: int) -> tuple[list[Any], Any]:
    order = np.random.default_rng(0).permutation(len(rows))[:count]
    chosen = [rows[i] for i in sorted(order)]
    return chosen, draw_weights(chosen, config.balance)


def _times(sessions: dict[tuple[str, int], ort.InferenceSession]) -> dict[Any, list[float]]:
    times: dict[Any, list[float]] = {point: [] for point in sessions}
    for _ in range(_ROUNDS):
        for point, loaded in sessions.items():
            image = {"image": np.zeros((1, point[1], point[1], 3), np.uint8)}
            loaded.run(None, image)
            best = []
            for _ in range(3):
                started = time.process_time()
                loaded.run(None, image)
                best.append(time.process_time() - started)
            times[point].append(1000 * min(best))
    return times


def front(points: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """The points that no faster one beats by `key`, fastest first."""
    kept: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda one: (one["ms"], -one[key])):
        if not kept or point[key] > kept[-1][key]:
            kept.append(point)
    return kept


def plot(stored: dict[str, Any], path: Path) -> None:
    """Draw the front as PNG."""
    from matplotlib.figure import Figure

    points = stored["points"]
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.subplots()
    for backbone in sorted({point["backbone"] for point in points}):
        own = [point for point in points if point["backbone"] == backbone]
        times = [point["ms"] for point in own]
        (dots,) = axes.plot(
            times, [point["recall"] for point in own], "o", label=backbone.removeprefix("tf_")
        )
        axes.plot(
            times, [point["recall_sheets"] for point in own], "s", mfc="w", c=dots.get_color()
        )
        for point in own:
            place = (point["ms"], point["recall"])
            axes.annotate(
                f"{point['size_px']}", place, xytext=(5, 4), textcoords="offset points", size=9
            )
    for key, line, name in (("recall", "k--", "front"), ("recall_sheets", "k:", "sheets of four")):
        best = front(points, key)
        axes.plot([p["ms"] for p in best], [p[key] for p in best], line, lw=1, label=name)
    axes.set_xlabel("milliseconds per photo, one core, onnxruntime fp32")
    axes.set_ylabel("mean recall at 1 % false positives")
    axes.set_title("Linear probes on frozen backbones (labels: input side in px)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, required=True, help="JSON; the plot lies beside it")
    parser.add_argument("--train-pictures", type=int, default=1500)
    parser.add_argument("--plot", action="store_true", help="only draw what --out holds")
    options = parser.parse_args()
    if not options.plot:
        if options.recipe is None:
            parser.error("a recipe is needed, or --plot")
        torch.set_num_threads(1)
        points = measure(load_config(options.recipe), options.train_pictures)
        stored = {"train_pictures": options.train_pictures, "points": points}
        options.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    stored = json.loads(options.out.read_text(encoding="utf-8"))
    for point in stored["points"]:
        print(" ".join(f"{key} {value}" for key, value in point.items()))
    plot(stored, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
