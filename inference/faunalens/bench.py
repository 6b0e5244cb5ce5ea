"""How fast this machine is, step by step, and the setting that suits it."""

import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faunalens.cores import available_cores
from faunalens.decide import Look, policy
from faunalens.decode import decode
from faunalens.kit import vectors
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.preprocess import preprocess

BATCHES = (1, 8)
PHOTO = "large.jpg"
"""The golden picture that is decoded: 1280 x 960, as a phone's advert photo."""

# What onnxruntime's kernels choose by, and what an int8 model would need.
_FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni"),
    *("avx512_bf16", "amx_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "bf16", "sve"),
)
_LEAST_RUNS = 5


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        step: `decode`, `preprocess`, `network` or `whole`.
        threads: Of the network; for `whole`, photos judged at one time with one thread each.
        batch: Photos in one run of the network.
        ms: Median milliseconds per photo.
    """

    step: str
    threads: int
    batch: int
    ms: float


@dataclass(frozen=True)
class Bench:
    """All measurements of one machine.

    Attributes:
        cpu: Its name.
        features: Instruction sets that matter here.
        cores: That this process may use.
        rows: The measurements.
    """

    cpu: str
    features: tuple[str, ...]
    cores: int
    model: dict[str, str]
    rows: tuple[Row, ...]

    def best(self, step: str, batch: int | None = None) -> Row:
        """The fastest row of a step."""
        rows = [row for row in self.rows if row.step == step and batch in (None, row.batch)]
        return min(rows, key=lambda row: row.ms)

    def advice(self) -> list[str]:
        """What to set for many photos, and for one photo at a time."""
        many, one = self.best("whole"), self.best("network", 1)
        lines = [
            f"many photos: faunalens scan --workers {many.threads} "
            f"(about {1000 / many.ms:.0f} photos of this size per second)",
            f"one photo at a time: Model(threads={one.threads}) ({one.ms:.1f} ms in the network)",
        ]
        eight = self.best("network", 8)
        gain = self.best("network", 1).ms / eight.ms
        worth = "is worth it" if gain > 1.1 else "gains little: send photos one by one"
        return [*lines, f"batches of 8: {gain:.2f} times the photos per second; this {worth}"]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "advice": self.advice()}


def bench(
    path: Path | None = None, *, seconds: float = 1.5, step: Callable[[], object] = lambda: None
) -> Bench:
    """Measure.

    Args:
        path: A model file; the shipped one if None.
        seconds: For each measurement.
        step: Called after each.
    """
    cores = available_cores()
    counts = sorted({1, *(2**k for k in range(1, 8) if 2**k < cores), cores})
    data = (vectors.folder() / PHOTO).read_bytes()
    model = Model(path)
    rule = model.spec.resize
    pixels = decode(data, at_least_px=2 * rule.size_px).pixels
    image = preprocess(pixels, rule)
    rows = []

    def add(name: str, threads: int, batch: int, call: Callable[[], object], photos: int) -> None:
        rows.append(Row(name, threads, batch, _median_ms(call, seconds) / photos))
        step()

    add("decode", 1, 1, lambda: decode(data, at_least_px=2 * rule.size_px), 1)
    add("preprocess", 1, 1, lambda: preprocess(pixels, rule), 1)
    for threads in counts:
        loaded = Model(path, threads=threads)
        for batch in BATCHES:
            images = np.stack([image] * batch)
            add("network", threads, batch, lambda m=loaded, i=images: m.predict(i), batch)  # type: ignore[misc]
    classifier = Classifier(model, policy(model.spec, look=Look.FIRST))
    for threads in counts:
        with ThreadPoolExecutor(threads) as pool:

            def whole(pool: ThreadPoolExecutor = pool, photos: int = 4 * threads) -> None:
                list(pool.map(classifier.classify, [data] * photos))

            add("whole", threads, 1, whole, 4 * threads)
    name, features = processor()
    return Bench(name, features, cores, dict(model.identity), tuple(rows))


def steps() -> int:
    """How many measurements `bench` makes here."""
    cores = available_cores()
    counts = len({1, *(2**k for k in range(1, 8) if 2**k < cores), cores})
    return 2 + counts * (len(BATCHES) + 1)


def processor() -> tuple[str, tuple[str, ...]]:
    """Name of the CPU and those of its features that matter; empty where nobody tells."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
    except OSError:  # not Linux
        pass
    return name, tuple(flag for flag in _FEATURES if flag in flags)


def _median_ms(call: Callable[[], object], seconds: float) -> float:
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)
