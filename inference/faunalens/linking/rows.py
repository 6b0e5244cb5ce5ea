"""Results to fingerprints: each judged photo's file is read once, however often it occurs."""

import contextlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from faunalens.errors import FaunalensError, FileError, PhotoError
from faunalens.linking.fingerprint import Fingerprint, Fingerprinter
from faunalens.linking.store import Store
from faunalens.output import read_results
from faunalens.record import Record, decode_embedding
from faunalens.report_hits import scanned_file

_KEEP = 256  # fingerprints written at a time
_AHEAD = 4  # photos waiting per thread
_FIRST = 10  # failures named


@dataclass
class Rows:
    """The rows of a results file, as numbers.

    Attributes:
        fingerprint: `(N,)` int64, one per record: its row in the store; -1 if it has none.
        lost: Judged photos whose file is gone, or is another by now.
        first_lost: Of some of them the source and the reason.
    """

    fingerprint: npt.NDArray[np.int64]
    lost: int = 0
    first_lost: list[tuple[str, str]] = field(default_factory=list)


def fingerprint_results(
    results: Path,
    store: Store,
    fingerprinter: Fingerprinter,
    *,
    threads: int,
    quiet: bool = False,
) -> Rows:
    """Add to the store what it lacks of the photos in a results file.

    Photos are sought at their `source`, relative ones also beside the results, and count only if
    their SHA-256 is still that of the record.

    Raises:
        FileError: The results are unreadable, hold no judged photo, or the store is full.
    """
    rows = Rows(np.zeros(0, np.int64))
    keys: list[str | None] = []
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        stack.callback(pool.shutdown, cancel_futures=True)
        hidden = True if quiet else None
        bar = stack.enter_context(tqdm(desc="reading", unit=" photos", disable=hidden))
        waiting: deque[tuple[Record, Future[Fingerprint]]] = deque()
        ready: list[tuple[str, Fingerprint]] = []
        asked: set[str] = set()

        def take() -> None:
            record, future = waiting.popleft()
            assert record.sha256 is not None
            try:
                ready.append((record.sha256, future.result()))
            except PhotoError as error:
                rows.lost += 1
                if len(rows.first_lost) < _FIRST:
                    rows.first_lost.append((record.source, str(error)))
            if len(ready) >= _KEEP:
                store.add(ready)
                ready.clear()

        try:
            for record in read_results(results):
                keys.append(record.sha256 if record.failure is None else None)
                bar.update()
                if keys[-1] is None or keys[-1] in asked or store.number(keys[-1]) is not None:
                    continue
                asked.add(keys[-1])
                waiting.append((record, pool.submit(_read, record, results.parent, fingerprinter)))
                while len(waiting) >= threads * _AHEAD:
                    take()
            while waiting:
                take()
        finally:
            store.add(ready)
    numbers = (None if key is None else store.number(key) for key in keys)
    rows.fingerprint = np.fromiter((-1 if n is None else n for n in numbers), np.int64, len(keys))
    if not any(key is not None for key in keys):
        raise FileError(f"no judged photos in {results}; expected results of `faunalens scan`")
    if (rows.fingerprint < 0).all():
        source, reason = rows.first_lost[0]
        raise FaunalensError(
            f"none of the photos in {results} can be read, the first is {source}: {reason}; "
            "run from the folder in which the scan ran"
        )
    return rows


def _read(record: Record, beside: Path, fingerprinter: Fingerprinter) -> Fingerprint:
    embedding = None
    if record.embedding and record.model.get("sha256") == fingerprinter.model_sha256:
        with contextlib.suppress(ValueError):  # a file edited by hand; the photo is at hand
            embedding = decode_embedding(record.embedding)
    if embedding is not None and embedding.shape != (fingerprinter.dimensions,):
        embedding = None
    return fingerprinter(scanned_file(record, beside).data, embedding)
