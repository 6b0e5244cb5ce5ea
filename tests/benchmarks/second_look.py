"""What the second look finds, and what it costs: objects of known size pasted into scenes.

    python tests/benchmarks/second_look.py MANIFEST.csv SPLITS.csv IMAGES [--label ivory]

Objects of the test part are cut out of their plain backdrops and pasted, with soft edges, into
scenes, goods and animals of the test part, to fill a given share of the photo's area; the same
backdrops without them count the false alarms. All ways of looking run on the same pictures in one
call, so the ratios of their times hold whatever else the machine is doing.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from faunalens import Classifier, Model
from faunalens.decide import Look, policy
from faunalens.decode import decode, read_file
from faunalens_data.manifest import load_rows
from faunalens_data.row import Row
from faunalens_data.split import held_out_rows, read_splits
from faunalens_train.backdrop import DONOR_KINDS
from faunalens_train.cutout import cut_out

SHARES = (0.20, 0.10, 0.05, 0.02)


def opened(images: Path, row: Row) -> Image.Image:
    return Image.fromarray(decode(read_file(images / row.file).data).pixels)


def objects(images: Path, rows: list[Row], count: int) -> list[Image.Image]:
    """Cut-outs with an alpha channel, cropped to what they show."""
    out = []
    for row in rows:
        photo = opened(images, row)
        mask = cut_out(np.asarray(photo))
        if mask is None:
            continue
        alpha = Image.fromarray(mask)
        box = alpha.point(lambda value: 255 * (value > 127)).getbbox()
        if box is not None:
            photo.putalpha(alpha.filter(ImageFilter.GaussianBlur(1)))
            out.append(photo.crop(box))
        if len(out) == count:
            break
    return out


def composite(
    scene: Image.Image, thing: Image.Image, share: float, rng: np.random.Generator
) -> Image.Image:
    """`thing` somewhere in `scene`, its mask filling about `share` of the area."""
    filled = np.asarray(thing.getchannel("A")).mean() / 255
    area = share * scene.width * scene.height / max(filled, 0.2)
    scale = (area / (thing.width * thing.height)) ** 0.5
    scale = min(scale, scene.width / thing.width, scene.height / thing.height)
    size = max(4, round(thing.width * scale)), max(4, round(thing.height * scale))
    small = thing.resize(size, Image.Resampling.LANCZOS)
    at = (
        int(rng.integers(0, scene.width - size[0] + 1)),
        int(rng.integers(0, scene.height - size[1] + 1)),
    )
    out = scene.copy()
    out.paste(small.convert("RGB"), at, small.getchannel("A"))
    return out


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--label", default="ivory")
    parser.add_argument("--count", type=int, default=60)
    options = parser.parse_args()

    rows = load_rows(str(options.manifest), images=str(options.images)).rows
    test = held_out_rows(rows, read_splits(options.splits), "part", {"test"})
    rng = np.random.default_rng(0)
    things = objects(options.images, [r for r in test if options.label in r.labels], options.count)
    donors = [row for row in test if row.negative_kind in DONOR_KINDS]
    chosen = [donors[i] for i in rng.permutation(len(donors))]
    scenes = [
        scene.resize((1600, max(1, round(1600 * scene.height / scene.width))))
        for scene in (opened(options.images, row) for row in chosen[: options.count])
    ]
    print(f"{len(things)} objects of {options.label}, {len(scenes)} backdrops, 1600 px wide")

    model = Model()
    ways = {look: Classifier(model, policy(model.spec, look=look)) for look in Look}
    sets = {"none": [jpeg(scene) for scene in scenes]}
    for share in SHARES:
        sets[f"{share:.0%}"] = [
            jpeg(composite(scenes[i % len(scenes)], thing, share, rng))
            for i, thing in enumerate(things)
        ]
    print(f"{'area':<6} " + "".join(f"{look:>10} alert review   ms" for look in ways))
    for name, photos in sets.items():
        cells = ""
        for classifier in ways.values():
            started = time.perf_counter()
            records = [classifier.classify(photo).record for photo in photos]
            spent = 1000 * (time.perf_counter() - started) / len(photos)
            counted = [
                sum(
                    (record.probabilities or {})[options.label]
                    >= getattr(classifier.rules.thresholds[options.label], kind).probability
                    for record in records
                )
                / len(records)
                for kind in ("alert", "review")
            ]
            cells += f"{counted[0]:>16.2f} {counted[1]:>6.2f} {spent:>4.0f}"
        print(f"{name:<6} {cells}")


if __name__ == "__main__":
    main()
