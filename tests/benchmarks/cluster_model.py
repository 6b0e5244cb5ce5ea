"""What a scan on a cluster takes: time, cost and storage, from parts measured here.

    python tests/benchmarks/cluster_model.py [--photos 100e6] [--cores 256] [--price 0.04]

Measures processor time for a photo (reading apart) and bytes of a row in Parquet on this machine,
then simulates the run: parts of 10,000 photos dealt to one worker per core, each slower or faster
by chance; machines of 16 cores lost at a rate, with their parts judged again and a new machine
after some minutes. The price of a core for an hour is an assumption: give your own.
"""

import argparse
import heapq
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from against_others import PHOTOS, make_jpegs

from faunalens import Classifier
from faunalens.output_formats import write_file
from faunalens.record import encode_embedding

_MACHINE = 16  # cores
_REPLACED_S = 300.0  # until another machine is there
_START_S = 20.0  # of a worker: imports, model
_SPREAD = 0.15  # of the speed of parts, standard deviation as a share


@dataclass(frozen=True)
class Run:
    """A simulated run.

    Attributes:
        hours: On the clock.
        busy: Share of the cores' time that went into rows that count.
        lost: Parts that were judged again.
    """

    hours: float
    busy: float
    lost: int


def simulate(
    parts: int, part_s: float, cores: int, losses_per_machine_hour: float, seed: int = 0
) -> Run:
    """Deal parts to cores until all are done.

    Args:
        part_s: Seconds of a core for a part.
        losses_per_machine_hour: Of machines of 16 cores, by chance (exponential).
    """
    rng = random.Random(seed)
    machines = max(1, cores // _MACHINE)
    rate = losses_per_machine_hour / 3600

    def next_loss(now: float) -> float:
        return now + rng.expovariate(rate) if rate else float("inf")

    dies = [next_loss(0.0) for _ in range(machines)]
    free = [(_START_S, core % machines) for core in range(cores)]
    heapq.heapify(free)
    left, end, lost, useful = parts, 0.0, 0, 0.0
    while left:
        now, machine = heapq.heappop(free)
        took = part_s * max(0.3, rng.gauss(1, _SPREAD))
        if now + took > dies[machine]:
            # Every core of the machine comes here in turn; the last one has it replaced.
            back = dies[machine] + _REPLACED_S + _START_S
            lost += now < dies[machine]
            heapq.heappush(free, (max(back, now), machine))
            if all(at >= dies[machine] for at, which in free if which == machine):
                dies[machine] = next_loss(back)
            continue
        left -= 1
        useful += took
        end = max(end, now + took)
        heapq.heappush(free, (now + took, machine))
    return Run(end / 3600, useful / (end * cores), lost)


def cpu_ms(classifier: Classifier, jpegs: Sequence[str], rounds: int = 3) -> float:
    """Milliseconds of a core for a photo, decoded and judged in batches of 8; the best round."""
    costs = []
    for _ in range(rounds):
        started = time.process_time()
        for start in range(0, len(jpegs), 8):
            classifier.classify_batch(jpegs[start : start + 8])
        costs.append((time.process_time() - started) / len(jpegs) * 1000)
    return min(costs)


def row_bytes(classifier: Classifier, jpegs: Sequence[str], *, embedding: bool) -> float:
    """Bytes of a row in a Parquet part."""
    judged = [classifier.classify(path) for path in jpegs]
    records = []
    rng = np.random.default_rng(0)
    for number in range(2000):
        one = judged[number % len(judged)]
        assert one.embedding is not None and one.record.probabilities is not None
        # Rows of a real run differ in these, which hardly compress.
        noise = rng.standard_normal(one.embedding.shape, np.float32) / np.float32(
            len(one.embedding)
        )
        chances = {key: round(rng.random() ** 9, 6) for key in one.record.probabilities}
        records.append(
            replace(
                one.record,
                source=f"/mnt/photos/{rng.bytes(8).hex()}/{number:09}.jpg",
                sha256=rng.bytes(32).hex(),
                probabilities=chances,
                embedding=encode_embedding(one.embedding + noise) if embedding else None,
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part.parquet"
        write_file(
            out,
            "parquet",
            records,
            labels=classifier.model.spec.labels,
            carried=(),
            embedding=embedding,
            about={},
        )
        return out.stat().st_size / len(records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=float, default=100e6)
    parser.add_argument("--cores", type=int, default=256)
    parser.add_argument("--price", type=float, default=0.04, help="of a core for an hour")
    parser.add_argument("--part-rows", type=int, default=10_000)
    parser.add_argument("--sizes", nargs="+", default=["640x480", "1600x1200", "4000x3000"])
    options = parser.parse_args()
    classifier = Classifier()
    parts = round(options.photos / options.part_rows)
    print(f"{options.photos:,.0f} photos, {parts:,} parts, {options.cores} cores")
    for size in options.sizes:
        width, height = (int(side) for side in size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            jpegs = make_jpegs(PHOTOS, Path(folder), width, height)
            weight = statistics.mean(Path(path).stat().st_size for path in jpegs)
            cost_s = cpu_ms(classifier, jpegs) / 1000
            if size == options.sizes[0]:
                plain, full = (
                    row_bytes(classifier, jpegs, embedding=with_it) for with_it in (False, True)
                )
        core_hours = options.photos * cost_s / 3600
        print(
            f"\n{size}: {cost_s * 1000:.1f} ms of a core and {weight / 1000:,.0f} kB a photo; "
            f"{core_hours:,.0f} core hours, {core_hours * options.price:,.0f} at {options.price}; "
            f"{options.photos * weight / 1e12:,.1f} TB to read, "
            f"{weight / cost_s * options.cores / 1e9:.2f} GB/s with all cores busy"
        )
        for losses in (0.0, 0.02, 0.2):
            run = simulate(parts, cost_s * options.part_rows, options.cores, losses)
            print(
                f"  {losses:4.2f} machines of {_MACHINE} cores lost per hour each: "
                f"{run.hours:6.1f} h, {run.busy:6.1%} of the cores' time useful, "
                f"{run.lost:,} parts judged again"
            )
    print(
        f"\nrows: {plain:.0f} bytes ({options.photos * plain / 1e9:,.0f} GB), with embeddings "
        f"{full:,.0f} ({options.photos * full / 1e9:,.0f} GB)"
    )


if __name__ == "__main__":
    main()
