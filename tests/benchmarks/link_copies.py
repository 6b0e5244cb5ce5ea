"""How well `faunalens link` tells edited copies from other photos: recall and precision.

    python tests/benchmarks/link_copies.py IMAGES MANIFEST.csv [--photos 2000] [--edited 100]

IMAGES are photos of many different objects; MANIFEST has the columns `file` and `group`, equal for
photos of one object. Some photos are edited in 15 ways and sought among all, as a seller's copy
would be. Recall is the share of edited copies linked to their original. False links are counted
among the photos themselves, all against all, and among the edited copies.
"""

import argparse
import csv
import io
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from tqdm import tqdm

from faunalens import Classifier
from faunalens.cores import available_cores
from faunalens.linking.fingerprint import Fingerprint, Fingerprinter
from faunalens.linking.match import are_copies
from faunalens.linking.search import Neighbours
from faunalens.linking.store import Store

_NEIGHBOURS = 16  # as `link` takes


def cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    """Cut this share of width and height away, half of it on each side."""

    def edit(image: Image.Image) -> Image.Image:
        x, y = image.width * share / 2, image.height * share / 2
        return image.crop((round(x), round(y), round(image.width - x), round(image.height - y)))

    return edit


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((max(8, image.width // 2), max(8, image.height // 2)))


def written_on(image: Image.Image) -> Image.Image:
    image = image.copy()
    pen, (width, height) = ImageDraw.Draw(image), image.size
    for x, y, text in ((0.05, 0.05, "SELLER 0123 456 789"), (0.2, 0.8, "www.shop.example")):
        size = max(10, width // 13)
        pen.text((x * width, y * height), text, fill=(255, 255, 0), font_size=size)
    return image


def banner(image: Image.Image) -> Image.Image:
    image = image.copy()
    pen, (width, height) = ImageDraw.Draw(image), image.size
    pen.rectangle((0, 0.88 * height, width, height), fill=(200, 0, 0))
    size = max(9, int(0.07 * height))
    pen.text((0.1 * width, 0.9 * height), "FOR SALE 99", fill=(255, 255, 255), font_size=size)
    return image


def screenshot(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", (image.width, int(1.3 * image.height)), (245, 245, 245))
    page.paste(image, (0, int(0.1 * image.height)))
    return page


EDITS: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "JPEG quality 40": (lambda image: image, 40),
    "half the size, quality 60": (smaller, 60),
    "mirrored": (ImageOps.mirror, 75),
    "text written on it": (written_on, 75),
    "banner over a tenth": (banner, 75),
    "a quarter brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.25), 75),
    "grey": (lambda image: image.convert("L").convert("RGB"), 75),
    "turned by 3 degrees": (lambda image: image.rotate(3, Image.Resampling.BICUBIC), 75),
    "cropped by 5 %": (cropped(0.05), 75),
    "cropped by 10 %": (cropped(0.1), 75),
    "cropped by 20 %": (cropped(0.2), 75),
    "cropped by 30 %": (cropped(0.3), 75),
    "white frame": (lambda image: ImageOps.expand(image, max(image.size) // 16, "white"), 75),
    "screenshot of a page": (screenshot, 75),
    "mirrored, cropped 8 %, text, 60 %": (
        lambda image: smaller(written_on(cropped(0.08)(ImageOps.mirror(image)))),
        60,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--edited", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with options.manifest.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    random.Random(options.seed).shuffle(rows)
    rows = rows[: options.photos]
    groups = np.array([row["group"] for row in rows])
    fingerprinter = Fingerprinter(Classifier())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "index", fingerprinter.model_sha256, fingerprinter.dimensions)
        for number, row in enumerate(tqdm(rows, "photos", disable=None)):
            data = (options.images / row["file"]).read_bytes()
            store.add([(f"{number:064x}", fingerprinter(data))])
        neighbours = Neighbours(store, threads=available_cores(), quiet=True)
        among_themselves(neighbours, groups)
        total = np.zeros(3, int)
        print(f"\n{'edit':36} found  false links")
        for name, (edit, quality) in EDITS.items():
            found = false = 0
            for number, row in enumerate(rows[: options.edited]):
                with Image.open(options.images / row["file"]) as image:
                    copy = as_jpeg(edit(image.convert("RGB")), quality)
                linked = matches(neighbours, fingerprinter(copy))
                found += number in linked
                false += sum(groups[other] != groups[number] for other in linked)
            print(f"{name:36} {found / options.edited:5.0%}  {false}", flush=True)
            total += found, false, options.edited
        found, false, edited = total.tolist()
        print(
            f"all: recall {found / edited:.3f}, precision {found / (found + false):.4f} "
            f"({found} right links, {false} wrong)"
        )


def among_themselves(neighbours: Neighbours, groups: npt.NDArray[np.str_]) -> None:
    """Links between the photos themselves: of one object they are right, else false."""
    right: set[tuple[int, int, int, float]] = set()
    wrong: set[tuple[int, int, int, float]] = set()
    for pairs in neighbours.of_all(_NEIGHBOURS):
        copies = pairs.where(are_copies(pairs))
        for a, b, bits, cosine in zip(
            copies.query, copies.found, copies.bits, copies.cosine, strict=True
        ):
            link = (min(a, b), max(a, b), int(bits), round(float(cosine), 3))
            (right if groups[a] == groups[b] else wrong).add(link)
    count = len(groups)
    print(
        f"{count:,} photos, {count * (count - 1) // 2:,} pairs: {len(right)} links within an "
        f"object, {len(wrong)} between different ones"
    )
    for a, b, bits, cosine in sorted(wrong)[:20]:
        print(f"  {groups[a]} {groups[b]}: {bits} bits, cosine {cosine}")


def matches(neighbours: Neighbours, query: Fingerprint) -> set[int]:
    pairs = neighbours.of_fingerprint(query, _NEIGHBOURS)
    return set(pairs.where(are_copies(pairs)).found.tolist())


def as_jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
