"""`faunalens scan` against what people run today, as ratios measured in one call.

    pip install -e '.[train]' nudenet==3.4.2
    python tests/benchmarks/against_others.py [--photos FOLDER] [--sizes 1600x1200 ...]

The same JPEGs on the same cores: `scan` with both models and with `--first-only`, (a) a plain loop
of Pillow and timm in PyTorch, (b) that with a DataLoader, (c) NudeNet 3.4.2's `detect_batch`, and
(d) the bound: decoding alone and the networks alone, on every core at once, added up (the second
model's by the share of photos that ask it). All take turns in each round, so a ratio holds whatever
else the machine does; the photos per second do not travel. Where other work takes some of the
cores, the ratio of processor time is the steadier one.

The JPEGs are made from `--photos`, with the grain of a camera so that they weigh what photos weigh.
How many of them ask the second model decides the speed of a scan and is printed: take a folder that
looks like your adverts. Start-up (imports, model, worker processes) is left out for every way.
"""

import argparse
import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from peers import Setting, cpu_seconds
from PIL import Image, ImageOps
from tqdm import tqdm

from faunalens import find_photos
from faunalens.cores import available_cores
from faunalens.model import Model

HERE = Path(__file__).parent
PHOTOS = HERE.parent / "photos"
SIZES = ("640x480", "1600x1200", "4000x3000")
_GRAIN = 5.0  # grey levels, standard deviation
_QUALITY = 88
# Photos that the fastest way gets; the slow ones get fewer, so that each takes seconds.
_PIXELS = 2.4e9
_PHOTOS = (240, 1500)  # fewest and most
_SHARE = {"plain-loop": 0.12, "data-loader": 0.25, "nudenet": 0.25}
_SECOND_SHARE = 0.15  # of the photos: its network is several times slower than the first's
_SOURCES = 200  # photos that JPEGs are made from, at most
SCANS = {"scan": (), "first-only": ("--first-only",)}
PARTS = ("decode-alone", "network-alone", "second-alone")
TITLES = {
    "scan": "faunalens scan",
    "first-only": "faunalens scan --first-only",
    "plain-loop": "(a) plain loop, Pillow + timm",
    "data-loader": "(b) with a DataLoader",
    "nudenet": "(c) NudeNet 3.4.2 detect_batch",
    "bound": "(d) the bound of both models",
    "bound-first": "(d) the bound of the first",
    "decode-alone": "    decode alone",
    "network-alone": "    first network alone",
    "second-alone": "    second network alone",
}


class Cost(NamedTuple):
    """Seconds for a photo: on the clock with all cores, and of processor time on any core."""

    clock: float
    cpu: float


class Scanned(NamedTuple):
    """What a scan cost for a photo, and the share of photos that the second model decided."""

    cost: Cost
    second: float


_NOTHING = Cost(0.0, 0.0)


def make_jpegs(photos: Path, folder: Path, width: int, height: int) -> list[str]:
    """One JPEG per photo in `photos` (evenly picked), cut to the size, with grain."""
    rng = np.random.default_rng(0)
    made = []
    found = list(find_photos([str(photos)]))
    if not found:
        raise SystemExit(f"expected photos in {photos}, found none")
    for source in found[:: -(-len(found) // _SOURCES)]:
        with Image.open(source) as image:
            cut = ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BICUBIC)
        grain = rng.standard_normal((height, width, 1), np.float32) * _GRAIN
        pixels = np.clip(np.asarray(cut, np.float32) + grain, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
        path = folder / f"{Path(source).stem}.jpg"
        path.write_bytes(buffer.getvalue())
        made.append(str(path))
    return made


def scan_cost(
    paths: Sequence[str], cores: int, flags: Sequence[str], start: Cost = _NOTHING
) -> Scanned:
    """Of a photo through the command line; `start` (of all photos together) is taken off."""
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in enumerate(paths):
            (Path(scratch) / f"{number:06}.jpg").symlink_to(path)
        command = [sys.executable, "-m", "faunalens", "scan", scratch, "--quiet", *flags]
        started, busy = time.perf_counter(), cpu_seconds()
        done = subprocess.run(
            [*command, "--workers", str(cores)], stdout=subprocess.PIPE, text=True, check=True
        )
        clock, cpu = time.perf_counter() - started, cpu_seconds() - busy
    records = [json.loads(line) for line in done.stdout.splitlines()]
    if len(records) != len(paths) or any(record["status"] != "ok" for record in records):
        raise SystemExit("the scan did not judge every photo; its speed means nothing")
    cost = Cost((clock - start.clock) / len(paths), (cpu - start.cpu) / len(paths))
    return Scanned(cost, statistics.mean("(second model)" in r["rule"] for r in records))


def start_cost(paths: Sequence[str], cores: int, flags: Sequence[str]) -> Cost:
    """Of the start of a scan: of one photo for each worker, twice, the better."""
    costs = [scan_cost(paths[:cores], cores, flags).cost for _ in range(2)]
    return Cost(min(c.clock for c in costs) * cores, min(c.cpu for c in costs) * cores)


def peer_cost(way: str, paths: Sequence[str], setting: Setting, copies: int = 1) -> Cost:
    """Of a photo through a way of `peers.py`, in `copies` processes at once."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("\n".join(paths))
        listing.flush()
        command = [sys.executable, str(HERE / "peers.py"), way, listing.name]
        for name, value in asdict(setting).items():
            command += [f"--{name}", str(value)]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(copies)
        ]
        outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{way} failed; it needs: pip install -e '.[train]' nudenet==3.4.2")
    clocks, cpus = zip(*(map(float, output.split()[-2:]) for output in outputs), strict=True)
    return Cost(1 / sum(1 / clock for clock in clocks), statistics.mean(cpus))


def one_round(jpegs: Sequence[str], count: int, setting: Setting) -> tuple[dict[str, Cost], float]:
    """What a photo costs by every way, one after the other; the second model's share."""

    def some(share: float) -> list[str]:
        return list(islice(cycle(jpegs), max(len(jpegs), round(count * share))))

    start = {way: start_cost(jpegs, setting.cores, flags) for way, flags in SCANS.items()}

    def scans() -> dict[str, Scanned]:
        return {
            way: scan_cost(some(1), setting.cores, flags, start[way])
            for way, flags in SCANS.items()
        }

    before = scans()
    costs = {way: peer_cost(way, some(share), setting) for way, share in _SHARE.items()}
    one_core = replace(setting, cores=1)
    for part in PARTS:
        share = _SECOND_SHARE if part == "second-alone" else 1
        few = some(share / setting.cores)
        costs[part] = peer_cost(part, few, one_core, copies=setting.cores)
    after = scans()  # before and after: drift cancels
    for way in SCANS:
        both = zip(before[way].cost, after[way].cost, strict=True)
        costs[way] = Cost(*map(statistics.mean, both))
    second = after["scan"].second
    decode, first, sharp = (costs[part] for part in PARTS)
    costs["bound-first"] = Cost(*map(sum, zip(decode, first, strict=True)))
    costs["bound"] = Cost(
        *(a + second * b for a, b in zip(costs["bound-first"], sharp, strict=True))
    )
    return costs, second


def show(title: str, rounds: Sequence[Mapping[str, Cost]]) -> None:
    """The table of one size: the median ratio, and the lowest and highest of the rounds."""
    print(f"\n{title}\n{'':34}photos/s  scan is x, clock    scan is x, CPU  ", end="")
    print("first-only x, clock  first-only x, CPU")
    for way, name in TITLES.items():
        rate = 1 / statistics.median(cost[way].clock for cost in rounds)
        ratios = [
            _ratios(getattr(cost[way], unit) / getattr(cost[ours], unit) for cost in rounds)
            for ours in SCANS
            for unit in Cost._fields
        ]
        print(f"  {name:32}{rate:8.1f}  {'  '.join(ratios)}", flush=True)


def _ratios(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):5.2f} ({ordered[0]:.2f}-{ordered[-1]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photos", type=Path, default=PHOTOS, help="folder, tests/photos if left out"
    )
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="such as 1600x1200")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=available_cores())
    parser.add_argument("--backbone", help="timm's name; by default after the shipped model's")
    parser.add_argument("--json", type=Path, help="also write every rate to this file")
    options = parser.parse_args()
    model = Model()
    name = re.search(r"lite\d", model.spec.name)
    backbone = options.backbone or f"tf_efficientnet_{name[0] if name else 'lite0'}"
    setting = Setting(backbone, model.spec.resize.size_px, options.cores)
    print(f"{model.spec.name} against {setting}, {options.rounds} rounds")
    everything = {}
    for size in options.sizes:
        width, height = (int(part) for part in size.split("x"))
        count = round(np.clip(_PIXELS / (width * height), *_PHOTOS))
        with tempfile.TemporaryDirectory() as folder:
            jpegs = make_jpegs(options.photos, Path(folder), width, height)
            weight = statistics.mean(Path(path).stat().st_size for path in jpegs) / 1000
            rounds = [
                one_round(jpegs, count, setting)
                for _ in tqdm(range(options.rounds), size, unit=" rounds", disable=None)
            ]
        costs = [cost for cost, _ in rounds]
        second = statistics.mean(share for _, share in rounds)
        show(f"{size}, {weight:,.0f} kB a photo, {second:.0%} ask the second model", costs)
        everything[size] = {"second_share": second, "rounds": costs}
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
