"""Many photos: several workers, records in input order, memory that does not grow."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from faunalens.decide import Policy, policy
from faunalens.errors import FailureKind
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens.record import Failure, Record

# Photos per task: enough that sending the task costs nothing beside it, few enough that records
# appear steadily and a crash costs little.
_CHUNK = 8
# Tasks waiting per worker: the next one is there when one ends, and no more are held.
_AHEAD = 3


def available_cores() -> int:
    """Cores this process may use (its CPU affinity, not the machine's count)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def scan(
    paths: Iterable[str],
    *,
    model_path: Path | None = None,
    rules: Policy | None = None,
    workers: int = 1,
) -> Iterator[Record]:
    """Judge photos, lazily, in order.

    Args:
        paths: Photo files, from `find_photos`; consumed only a little ahead.
        model_path: The shipped model if None.
        rules: The model's own thresholds if None.
        workers: Processes. With 1 everything runs in this one.

    Yields:
        One record per path; a photo that fails, even one that crashes its process, costs no more
        than its own record.

    Raises:
        ModelError: The model cannot be loaded.
    """
    model = Model(model_path)
    rules = rules or policy(model.spec)
    chunks = _chunks(paths)
    if workers <= 1:
        classifier = Classifier(model, rules)
        for chunk in chunks:
            yield from (judged.record for judged in classifier.classify_batch(chunk))
        return
    with _Pool(model, rules, workers) as pool:
        waiting: deque[tuple[list[str], Future[list[Record]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk, pool.submit(chunk)))
            if len(waiting) >= workers * _AHEAD:
                yield from pool.result(*waiting.popleft(), waiting)
        while waiting:
            yield from pool.result(*waiting.popleft(), waiting)


class _Pool:
    """Worker processes that are started again when a photo kills one."""

    def __init__(self, model: Model, rules: Policy, workers: int) -> None:
        self._model = model
        self._rules = rules
        self._workers = workers
        self._executor = self._start()

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def submit(self, chunk: list[str]) -> Future[list[Record]]:
        try:
            return self._executor.submit(_judge, chunk)
        except BrokenProcessPool as error:
            failed: Future[list[Record]] = Future()
            failed.set_exception(error)
            return failed

    def result(
        self,
        chunk: list[str],
        future: Future[list[Record]],
        waiting: deque[tuple[list[str], Future[list[Record]]]],
    ) -> list[Record]:
        try:
            return future.result()
        except BrokenProcessPool:
            # Some photo in flight killed its process, and with it the pool. It may be in this
            # chunk: judge these one by one. Then hand in again what was waiting.
            records = [self._alone(path) for path in chunk]
            self._restart()
            for index, (other, _) in enumerate(waiting):
                waiting[index] = (other, self.submit(other))
            return records

    def _alone(self, path: str) -> Record:
        self._restart()
        try:
            return self._executor.submit(_judge, [path]).result()[0]
        except BrokenProcessPool:
            return Record(
                source=path,
                failure=Failure(FailureKind.INTERNAL, "the decoder crashed on this file"),
                model=self._model.identity,
            )

    def _restart(self) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # spawn: onnxruntime's threads do not survive a fork.
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_load,
            initargs=(self._model.path, self._rules),
        )


_classifier: Classifier | None = None  # of a worker process


def _load(model_path: Path, rules: Policy) -> None:
    global _classifier
    _classifier = Classifier(Model(model_path), rules)


def _judge(chunk: list[str]) -> list[Record]:
    assert _classifier is not None  # _load ran first
    return [judged.record for judged in _classifier.classify_batch(chunk)]


def _chunks(paths: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(paths)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
