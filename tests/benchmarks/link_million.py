"""`faunalens link` on a million photos: time and memory of index and search, on made-up vectors.

    python tests/benchmarks/link_million.py [--rows 1000000] [--copies 0.05]

Embeddings have a falling spectrum, as those of photos do (68 % of the variance in 128 dimensions
of 900 research pictures); a share of the rows are copies of others, with changed bits and a changed
embedding. Reading photos is left out: `cluster_model.py` has what a photo costs.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from faunalens.cores import available_cores
from faunalens.linking.clusters import join
from faunalens.linking.fingerprint import Fingerprint
from faunalens.linking.match import are_copies
from faunalens.linking.search import Neighbours
from faunalens.linking.store import Store

_LATENT = 400  # dimensions that vary, the k-th by 1 / sqrt(k)
_SHIFT = 0.4  # of all embeddings from zero, which makes the mean cosine about 0.15
_BATCH = 8192
_FLIPPED = 24  # bits of a copy's hash, as after writing on a photo
_NOISE = 0.3  # of a copy's embedding: a cosine of about 0.96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--copies", type=float, default=0.05, help="share of rows")
    parser.add_argument("--dimensions", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    copies = int(options.rows * options.copies)
    with tempfile.TemporaryDirectory() as folder:
        timer = Timer()
        fill(Path(folder), options.rows, copies, options.dimensions)
        timer.tell("made up and written to the store")
        store = Store(Path(folder), "model", options.dimensions)
        timer.tell("store opened")
        neighbours = Neighbours(store, threads=options.threads)
        timer.tell("indexed")
        found = [pairs.where(are_copies(pairs)) for pairs in neighbours.of_all()]
        timer.tell("all compared with all")
        links = join(len(store), found)
        timer.tell("joined")
        original = options.rows - copies
        right = links.component[original:] == links.component[:copies]
        wrong = sum(
            int(((pairs.query % original) != (pairs.found % original)).sum()) for pairs in found
        )
        print(
            f"{options.rows:,} photos, {copies:,} copies among them: {right.mean():.2%} found, "
            f"{wrong:,} false links; index {size_mb(Path(folder)):,.0f} MB on disk"
        )
        again = Neighbours(store, threads=options.threads, quiet=True)
        timer.tell("index opened again")
        for number in range(20):
            one = Fingerprint(store.hashes[number], 50, store.embeddings[number].astype(np.float32))
            again.of_fingerprint(one, 64)
        timer.tell("20 photos looked up")


class Timer:
    """Seconds on the clock and of the processor since the last word, and the most memory so far."""

    def __init__(self) -> None:
        self._clock, self._cpu = time.perf_counter(), time.process_time()

    def tell(self, what: str) -> None:
        clock, cpu = time.perf_counter(), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{what:34} {clock - self._clock:8.1f} s, {cpu - self._cpu:8.1f} s of processor, "
            f"peak {peak:,.0f} MB",
            flush=True,
        )
        self._clock, self._cpu = clock, cpu


def fill(folder: Path, rows: int, copies: int, dimensions: int) -> None:
    """Write a store directly: row n of the last `copies` is a copy of row n of the first."""
    store = Store(folder, "model", dimensions)
    dtype = store.dtype
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((_LATENT, dimensions), np.float32)
    latent /= np.sqrt(np.arange(1, _LATENT + 1, dtype=np.float32))[:, None]
    shift = _SHIFT * np.linalg.norm(latent) * rng.standard_normal(dimensions, np.float32)
    shift /= np.sqrt(dimensions)
    flips = rng.permutation(256)[:_FLIPPED]
    mask = np.packbits(np.isin(np.arange(256), flips))
    original = rows - copies
    first: list[npt.NDArray[np.void]] = []
    with (folder / "fingerprints.bin").open("wb") as handle:
        for start in tqdm(range(0, original, _BATCH), "making up", disable=None):
            count = min(_BATCH, original - start)
            made = np.zeros(count, dtype)
            made["sha256"] = np.arange(start, start + count).astype("S32")
            made["hashes"] = rng.integers(0, 256, (count, 2, 32), np.uint8)
            made["contrast"] = 50
            some = rng.standard_normal((count, _LATENT), np.float32) @ latent + shift
            made["embedding"] = some / np.linalg.norm(some, axis=1, keepdims=True)
            handle.write(made.tobytes())
            if start < copies:
                first.append(made)
        for made in first:
            edited = made[: max(0, copies)].copy()
            copies -= len(edited)
            edited["sha256"] = np.char.add(b"c", edited["sha256"])
            edited["hashes"] ^= mask
            noise = rng.standard_normal(edited["embedding"].shape, np.float32)
            some = edited["embedding"] + _NOISE * noise / np.sqrt(dimensions)
            edited["embedding"] = some / np.linalg.norm(some, axis=1, keepdims=True)
            handle.write(edited.tobytes())


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


if __name__ == "__main__":
    main()
