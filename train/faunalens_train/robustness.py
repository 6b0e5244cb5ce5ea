"""Recall at the shipped thresholds after each edit of a photo, through the whole product."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from faunalens.decode import decode, read_file
from faunalens.errors import PhotoError
from faunalens.pipeline import Classifier
from faunalens.record import Record
from faunalens_data.row import Row
from faunalens_train.edits import EDITS, UNCHANGED
from faunalens_train.judged import of_records
from faunalens_train.run import RunError
from faunalens_train.scored import TestSet

MANY = 100
"""Pictures of a label in the data set from which on a loss is held against the product."""

ALLOWED, ALLOWED_COLLAGE = 0.10, 0.20
"""Largest loss of recall that an edit may cost such a label."""

_WORKERS = 2


def robustness(
    classifier: Classifier, test: TestSet, counts: Mapping[str, int], *, seed: int = 0
) -> dict[str, Any]:
    """Judge the positives of the test pictures after each edit.

    Args:
        classifier: The product.
        test: The test pictures; negatives fill the collages.
        counts: Pictures of each label in the whole data set.
        seed: Of the choice of neighbours in a collage.

    Returns:
        `edits` (name to label to `review` and `alert`: the share of its pictures at or above its
        own thresholds), `pictures` per label, and `losses`: edits that cost a label of `MANY`
        pictures or more too much at its review or its alert threshold.

    Raises:
        RunError: A photo cannot be judged.
    """
    shown = [row for row in test.rows if not row.is_negative]
    others = sorted((row for row in test.rows if row.is_negative), key=lambda row: row.sha256)
    if not shown or not others:
        raise RunError("the test part needs both positives and negatives for the edits")
    neighbours = [
        others[(_number(row, seed) + 7 * k) % len(others)] for row in shown for k in range(3)
    ]

    def judge(place: int) -> list[Record]:
        row = shown[place]
        data = read_file(test.images / row.file).data
        image = _open(test.images / row.file)
        beside = [_open(test.images / n.file) for n in neighbours[3 * place : 3 * place + 3]]
        files = [data, *(edit(image, beside) for edit in EDITS.values())]
        return [one.record for one in classifier.classify_batch(files)]

    with ThreadPoolExecutor(_WORKERS) as pool:
        bar = tqdm(
            pool.map(judge, range(len(shown))), "edits", len(shown), unit="photo", disable=None
        )
        judged = list(bar)
    edits = {
        name: _recall([records[i] for records in judged], shown, classifier, test)
        for i, name in enumerate((UNCHANGED, *EDITS))
    }
    pictures = Counter(label for row in shown for label in row.labels)
    return {
        "edits": edits,
        "pictures": {x: pictures[x] for x in classifier.rules.labels if pictures[x]},
        "counts": dict(counts),
        "losses": losses(edits, counts),
    }


def losses(
    edits: Mapping[str, Mapping[str, Mapping[str, float]]], counts: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Edits that cost a label of `MANY` pictures or more too much, at review, then at alert."""
    found = []
    for name, labels in edits.items():
        limit = ALLOWED_COLLAGE if name.startswith("collage") else ALLOWED
        for label, figures in labels.items():
            for level, share in figures.items():
                loss = edits[UNCHANGED][label][level] - share
                if counts.get(label, 0) >= MANY and loss > limit + 1e-9:
                    one = {"edit": name, "label": label, "level": level}
                    found.append({**one, "loss": loss, "allowed": limit})
    return sorted(found, key=lambda one: (one["level"] == "alert", -one["loss"]))


def _recall(
    records: Sequence[Record], rows: Sequence[Row], classifier: Classifier, test: TestSet
) -> dict[str, dict[str, float]]:
    for record, row in zip(records, rows, strict=True):
        if record.failure is not None:
            raise RunError(f"{row.file} cannot be judged: {record.failure.message}")
    scored = of_records(records, rows, classifier.rules, test.unknown)
    out = {}
    for j, label in enumerate(scored.labels):
        own = scored.wanted[:, j] == 1
        if own.any():
            out[label] = {
                "alert": float((scored.reached[own, j] == 2).mean()),
                "review": float((scored.reached[own, j] >= 1).mean()),
            }
    return out


def _open(path: Path) -> Image.Image:
    try:
        return Image.fromarray(decode(read_file(path).data).pixels)
    except PhotoError as error:
        raise RunError(f"{path} cannot be judged: {error}") from error


def _number(row: Row, seed: int) -> int:
    return int(hashlib.sha256(f"{seed}{row.sha256}".encode()).hexdigest()[:8], 16)
