"""Operating points of a model file on held-out pictures: what a platform chooses a threshold from.

Also how far the resize inside the graph moves its probabilities.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tqdm import tqdm

from faunalens.decide import decide
from faunalens.decode import decode, read_file
from faunalens.kit.any_size import with_resize
from faunalens.kit.figures import FIGURES, SCHEMA
from faunalens.kit.vectors import own_rules
from faunalens.model import INPUT, Model
from faunalens.preprocess import preprocess
from faunalens_data.row import Row
from faunalens_train.calibrate import Floats, threshold_at
from faunalens_train.config import TrainConfig
from faunalens_train.dataset import load_parts, targets
from faunalens_train.metrics import share_interval

_RATES = (0.05, 0.02, 0.01, 0.005)
"""False-positive rates at which points beside the shipped thresholds are given."""


def write_figures(config: TrainConfig, path: Path | None, out: Path | None) -> Path:
    """Measure a model file on the recipe's test part and store it with the embedding kit.

    Args:
        config: Of the recipe, for its pictures and what is unknown of them.
        path: The model file; the shipped one if None.
        out: `figures.json` of the kit if None; other models' entries in it are kept.

    Returns:
        The file written.
    """
    model, out = Model(path), out or FIGURES
    parts = load_parts(config.data, model.spec.labels, "part")
    ways = _probabilities(model, parts.test, parts.images)
    wanted = targets(parts.test, model.spec.labels, config.data.unknown)
    entry = {
        "file": model.path.name,
        "sha256": model.identity["sha256"],
        "pictures": f"test part of manifest {parts.fingerprint[:12]}: no object of it trained, "
        "its sources did",
        "negatives": sum(row.is_negative for row in parts.test),
        "labels": _labels(model, ways["reference"], wanted, parts.test),
        "differences": {
            way: _difference(model, ways["reference"], found)
            for way, found in ways.items()
            if way != "reference"
        },
    }
    stored = json.loads(out.read_text(encoding="utf-8"))["models"] if out.exists() else []
    kept = [one for one in stored if one["file"] != entry["file"]]
    models = sorted([*kept, entry], key=lambda one: str(one["file"]))
    text = json.dumps({"schema": SCHEMA, "models": models}, indent=1)
    out.write_text(text + "\n", encoding="utf-8")
    return out


def _probabilities(model: Model, rows: Sequence[Row], images: Path) -> dict[str, Floats]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    resizing = ort.InferenceSession(
        with_resize(model.path.read_bytes(), model.spec.resize),
        options,
        providers=["CPUExecutionProvider"],
    )
    found: dict[str, list[npt.NDArray[np.float32]]] = {"reference": [], "any_size": []}
    for row in tqdm(rows, desc="held-out pictures", unit="picture", disable=None):
        data = read_file(images / row.file).data
        pixels = decode(data).pixels
        image = preprocess(pixels, model.spec.resize)
        found["reference"].append(model.predict(image[None]).probability[0])
        found["any_size"].append(resizing.run(["probability"], {INPUT: pixels[None]})[0][0])
    return {way: np.stack(values).astype(np.float64) for way, values in found.items()}


def _labels(
    model: Model, probability: Floats, wanted: npt.NDArray[np.float32], rows: Sequence[Row]
) -> dict[str, Any]:
    negative = np.array([row.is_negative for row in rows])
    out: dict[str, Any] = {}
    for j, label in enumerate(model.spec.labels):
        yes, no = probability[wanted[:, j] == 1, j], probability[negative, j]
        own = model.spec.thresholds[label]
        points = {"alert": own.alert.probability, "review": own.review.probability}
        for rate in _RATES:
            points[f"fpr {rate:g}"] = threshold_at(no, rate)
        out[label] = {
            "positives": len(yes),
            "points": {name: _point(yes, no, at) for name, at in points.items()},
        }
    return out


def _point(yes: Floats, no: Floats, at: float) -> dict[str, Any]:
    hits, alarms = int((yes >= at).sum()), int((no >= at).sum())
    return {
        "threshold": round(at, 6),
        "recall": _share(hits, len(yes)),
        "recall_95": _interval(hits, len(yes)),
        "fpr": _share(alarms, len(no)),
        "fpr_95": _interval(alarms, len(no)),
    }


def _share(hits: int, count: int) -> float | None:
    return round(hits / count, 6) if count else None


def _interval(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share to six digits; `(0, 1)` of nothing."""
    low, high = share_interval(hits, count) if count else (0.0, 1.0)
    return round(low, 6), round(high, 6)


def _difference(model: Model, reference: Floats, other: Floats) -> dict[str, Any]:
    gap = np.abs(reference - other)
    rules = own_rules(model.spec)
    verdicts = [
        decide(model.spec, a.tolist(), rules).verdict
        != decide(model.spec, b.tolist(), rules).verdict
        for a, b in zip(reference, other, strict=True)
    ]
    worst = gap.max(axis=1)  # of each picture
    return {
        "pictures": len(reference),
        "max": round(float(worst.max()), 6),
        "p99": round(float(np.quantile(worst, 0.99)), 6),
        "mean": round(float(worst.mean()), 6),
        "verdicts": sum(verdicts),
    }
