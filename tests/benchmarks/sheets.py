"""Sheets of photos: how often they are cut as they should be, single photos too, and what it finds.

    python tests/benchmarks/sheets.py MANIFEST.csv SPLITS.csv IMAGES [--count 120] [--seed 0]

Sheets are put together from pictures of the test part: one that shows something protected, in any
of the places, the others nothing. Recall is the share whose own label gets to its threshold.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from faunalens import Classifier
from faunalens.decode import decode, read_file
from faunalens.parts import Box
from faunalens.preprocess import preprocess
from faunalens.sheet import SEEN, photos_of
from faunalens_data.manifest import load_rows
from faunalens_data.row import Row
from faunalens_data.split import held_out_rows, read_splits
from faunalens_train.edits import jpeg


@dataclass(frozen=True)
class Kind:
    """How sheets are made: columns, rows, gap and its colour, size of a photo, JPEG quality, and
    longest side in the end (0: as it is)."""

    columns: int
    rows: int
    gap: int
    colour: str
    photo: tuple[int, int]
    quality: int
    longest: int = 0

    def make(self, photos: list[Image.Image]) -> bytes:
        (width, height), gap = self.photo, self.gap
        size = self.columns * (width + gap) - gap, self.rows * (height + gap) - gap
        sheet = Image.new("RGB", size, self.colour)
        for place, photo in enumerate(photos):
            left = place % self.columns * (width + gap)
            sheet.paste(
                ImageOps.fit(photo, self.photo), (left, place // self.columns * (height + gap))
            )
        if self.longest:
            sheet.thumbnail((self.longest, self.longest))
        return jpeg(sheet, self.quality)


KINDS = {
    "2 x 2, white gap": Kind(2, 2, 6, "white", (448, 336), 92),
    "2 x 2, no gap": Kind(2, 2, 0, "white", (400, 400), 85),
    "2 x 2, wide black gap": Kind(2, 2, 20, "black", (400, 300), 80),
    "2 x 2, small": Kind(2, 2, 4, "white", (300, 300), 60, 448),
    "2 above each other, no gap": Kind(1, 2, 0, "white", (400, 300), 75, 500),
    "3 x 3, white gap": Kind(3, 3, 5, "white", (200, 200), 80, 600),
    "3 x 2, no gap": Kind(3, 2, 0, "white", (200, 200), 80, 500),
}


def opened(images: Path, row: Row) -> Image.Image:
    return Image.fromarray(decode(read_file(images / row.file).data).pixels)


def boxes_of(data: bytes) -> list[Box]:
    return photos_of(preprocess(decode(data).pixels, SEEN))


def whole(boxes: list[Box], kind: Kind, place: int) -> bool:
    """Whether a photo of the sheet was cut out as it is, give or take a twentieth."""
    x, y = place % kind.columns, place // kind.columns
    true = (x / kind.columns, y / kind.rows, (x + 1) / kind.columns, (y + 1) / kind.rows)
    return any(np.allclose(box, true, atol=0.05) for box in boxes)


def recall(files: list[bytes], rows: list[Row], classifier: Classifier) -> tuple[float, float]:
    hits = []
    for data, row in zip(files, rows, strict=True):
        found = classifier.classify(data).record.probabilities or {}
        limits = [(found[x], classifier.rules.thresholds[x]) for x in row.labels if x in found]
        hits.append(
            [any(p >= getattr(t, k).probability for p, t in limits) for k in ("review", "alert")]
        )
    review, alert = np.mean(hits, axis=0)
    return float(review), float(alert)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    every = load_rows(str(options.manifest), images=str(options.images)).rows
    test = held_out_rows(every, read_splits(options.splits), "part", {"test"})
    classifier, uncut = Classifier(), Classifier(sheets=False)
    labels = set(classifier.rules.labels)
    rng = np.random.default_rng(options.seed)
    shown = [row for row in test if labels.intersection(row.labels)]
    shown = [shown[i] for i in rng.permutation(len(shown))[: options.count]]
    others = [row for row in test if row.is_negative]

    seen = [
        preprocess(decode(read_file(options.images / r.file).data).pixels, SEEN) for r in others
    ]
    started = time.process_time()
    cut = sum(bool(photos_of(image)) for image in seen)
    spent = 1000 * (time.process_time() - started) / len(seen)
    print(f"single photos cut: {cut} of {len(others)}, {spent:.2f} ms each")
    alone = recall([read_file(options.images / row.file).data for row in shown], shown, classifier)
    print(f"the {len(shown)} photos alone: review {alone[0]:.2f}, alert {alone[1]:.2f}")
    titles = f"{'cut':>6}{'well':>6}{'review':>8}{'alert':>7}   not cut:{'review':>8}{'alert':>8}"
    print(f"{'':<28}{titles}")
    for name, kind in KINDS.items():
        count = kind.columns * kind.rows
        files, wells, cuts = [], [], []
        for row in shown:
            place = int(rng.integers(count))
            beside = [
                opened(options.images, others[i]) for i in rng.integers(len(others), size=count)
            ]
            beside[place] = opened(options.images, row)
            files.append(kind.make(beside))
            boxes = boxes_of(files[-1])
            cuts.append(bool(boxes))
            wells.append(whole(boxes, kind, place))
        with_ = recall(files, shown, classifier)
        less = recall(files, shown, uncut)
        print(
            f"{name:<28}{np.mean(cuts):>6.2f}{np.mean(wells):>6.2f}{with_[0]:>8.2f}{with_[1]:>7.2f}"
            f"{'':>11}{less[0]:>8.2f}{less[1]:>8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
