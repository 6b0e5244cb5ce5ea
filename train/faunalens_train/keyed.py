"""What the model keys on: whether its evidence lies on the object or on what is around it."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from faunalens.pipeline import Classifier
from faunalens_data.row import Row
from faunalens_train.cutout import cut_out
from faunalens_train.scored import TestSet

MOST = 40
"""Pictures of a label looked at."""

_FEWEST = 5


def keyed_on(classifier: Classifier, test: TestSet, labels: Sequence[str]) -> dict[str, Any]:
    """Where the evidence for a label lies, on pictures before a plain backdrop.

    Only there can the object be cut out without being told where it is (see `cutout`).

    Args:
        labels: Those to look at.

    Returns:
        Label to `pictures`, `object` (mean share of the picture that the object fills),
        `evidence` (mean share of the positive evidence that lies on it) and `peak` (share of
        pictures whose strongest cell does); labels with too few such pictures are left out.
    """
    out: dict[str, Any] = {}
    for label in labels:
        shown: list[Row] = [row for row in test.rows if label in row.labels]
        found = []
        bar = tqdm(shown, desc=f"evidence, {label}", unit="photo", leave=False, disable=None)
        for row in bar:
            judged = classifier.classify(test.images / row.file)
            if judged.photo is None or judged.evidence is None:
                continue
            mask = cut_out(judged.photo.pixels)
            if mask is not None:
                place = classifier.model.spec.labels.index(label)
                found.append(shares(judged.evidence[place], mask))
            if len(found) == MOST:
                break
        if len(found) >= _FEWEST:
            area, evidence, peak = np.mean(found, axis=0)
            out[label] = {
                "pictures": len(found),
                "object": float(area),
                "evidence": float(evidence),
                "peak": float(peak),
            }
    return out


def shares(
    evidence: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8]
) -> tuple[float, float, float]:
    """Of one picture: share of the object in its area, in its positive evidence, in its peak.

    Args:
        evidence: `(h, w)`.
        mask: `(H, W)`, 255 on the object.
    """
    height, width = evidence.shape
    covered = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) / 255.0
    positive = np.maximum(evidence, 0)
    total = float(positive.sum())
    on = float((positive * covered).sum()) / total if total else 0.0
    peak = covered[np.unravel_index(int(evidence.argmax()), evidence.shape)]
    return float(mask.mean()) / 255.0, on, float(peak >= 0.5)
