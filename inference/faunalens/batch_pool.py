"""Worker processes that a photo may crash, hang or bloat at the cost of its own record alone.

The parent knows which photo each worker has open, because the worker says so before it opens it.
When a worker dies or overruns its time, that photo is the suspect:

- overran: its record is `timeout`, the worker is killed and started again;
- died: the photo is tried once more, alone, in a fresh worker (the kernel may have killed the
  worker for the memory of another); if that dies too, its record is `internal`.

Everything else the worker had been given is handed to the next one.
"""

import contextlib
import json
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from faunalens.batch_worker import Settings, work
from faunalens.errors import FailureKind, FaunalensError
from faunalens.inputs_item import Item
from faunalens.record import Failure, Record

# Photos per task: enough that sending the task costs nothing beside it, few enough that records
# appear steadily and a crash costs little.
_CHUNK = 8
# Tasks that a worker holds: the one it works on, and the next.
_AHEAD = 2
# Tasks begun or done but not yet given out, per worker: how far the others may run ahead of one
# slow photo. Only their records are held, not their photos.
_WINDOW = 64
_DEATHS_AT_START = 3


@dataclass(frozen=True)
class Judged:
    """A photo's record, with the seconds that reading and decoding it took."""

    record: Record
    seconds: float


def known(item: Item, model: Mapping[str, str]) -> Judged | None:
    """The record of an item that needs no judging; None if it does."""
    failure = item.failure
    if item.duplicate_of is not None:
        # Stands if the first of these files could not be judged either.
        message = f"the same file as {item.duplicate_of}, which could not be judged"
        failure = Failure(FailureKind.INTERNAL, message)
    if failure is None:
        return None
    record = Record(
        source=item.source,
        model=model,
        sha256=item.sha256,
        failure=failure,
        duplicate_of=item.duplicate_of,
    )
    return Judged(record, 0.0)


Note = Callable[[str, dict[str, Any]], None]
"""Told of events (`worker_died`, `photo_timeout`, ...) with their details, for a log."""


@dataclass(eq=False)
class _Task:
    items: list[Item]
    judged: list[Judged | None]
    deaths: list[int]
    alone: bool = False

    @property
    def todo(self) -> list[int]:
        """Indexes still to judge in the next round."""
        left = [index for index, one in enumerate(self.judged) if one is None]
        return left[:1] if self.alone else left

    @property
    def done(self) -> bool:
        return all(self.judged)


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    ready: bool = False
    tasks: deque[tuple[_Task, list[int]]] = field(default_factory=deque)
    at: int = -1  # of the first task: position of the open photo in its indexes
    since: float = 0.0


class Pool:
    """Judges items in several processes, in order.

    Args:
        model: The `model` field for records that the parent writes.
        workers: Processes, from 1.
        time_limit_s: For one photo.
        note: Told what happens to workers.
    """

    def __init__(
        self,
        settings: Settings,
        model: dict[str, str],
        *,
        workers: int,
        time_limit_s: float,
        note: Note = lambda event, details: None,
    ) -> None:
        self._settings = settings
        self._model = model
        self._time_limit_s = time_limit_s
        self._note = note
        self._deaths_at_start = 0
        self._again: deque[_Task] = deque()
        # spawn: onnxruntime's threads do not survive a fork.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        for _ in range(workers):
            self._workers.append(self._start())

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join()

    def judge(self, items: Iterable[Item]) -> Iterator[Judged]:
        """Judge items, taken only a little ahead.

        Raises:
            FaunalensError: The workers cannot start.
        """
        source = iter(items)
        order: deque[_Task] = deque()
        more = True
        while True:
            while more and len(order) < _WINDOW * len(self._workers) and self._idle():
                chunk = list(islice(source, _CHUNK))
                more = bool(chunk)
                if chunk:
                    task = self._task(chunk)
                    order.append(task)
                    if not task.done:
                        self._give(task)
                self._hear(0)
            while order and order[0].done:
                yield from (one for one in order.popleft().judged if one)
            if not order and not more:
                return
            if not self._idle() or not more:
                self._hear(self._patience())
            self._check_time()

    def _task(self, items: list[Item]) -> _Task:
        judged = [known(item, self._model) for item in items]
        return _Task(items, list(judged), [0] * len(items))

    def _idle(self) -> bool:
        while self._again and (worker := self._free()):
            self._send(worker, self._again.popleft())
        return self._free() is not None

    def _free(self) -> _Worker | None:
        # A worker that is still loading is given its first task at once: it waits in the pipe.
        worker = min(self._workers, key=lambda one: len(one.tasks))
        if len(worker.tasks) >= (_AHEAD if worker.ready else 1):
            return None
        return worker

    def _give(self, task: _Task) -> None:
        worker = self._free()
        if worker is None:
            self._again.append(task)
        else:
            self._send(worker, task)

    def _send(self, worker: _Worker, task: _Task) -> None:
        indexes = task.todo
        photos = [(task.items[index].source, task.items[index].data) for index in indexes]
        if not worker.tasks:
            worker.at, worker.since = -1, time.monotonic()
        worker.tasks.append((task, indexes))
        with contextlib.suppress(OSError):  # it died; that is seen when its end is heard
            worker.connection.send(photos)

    def _hear(self, timeout_s: float) -> None:
        """Take what workers have said, waiting for the first word."""
        while True:
            by_connection = {worker.connection: worker for worker in self._workers}
            heard = wait(list(by_connection), timeout_s)
            for connection in heard:
                assert isinstance(connection, Connection)
                worker = by_connection[connection]
                try:
                    message = json.loads(connection.recv_bytes())
                except (EOFError, OSError):
                    self._buried(worker)
                else:
                    self._understand(worker, message)
            if not heard or timeout_s:
                return

    def _understand(self, worker: _Worker, message: dict[str, Any]) -> None:
        worker.since = time.monotonic()
        if "at" in message:
            worker.at = message["at"]
        elif "ready" in message:
            worker.ready = True
            self._deaths_at_start = 0
        elif "error" in message:
            raise FaunalensError(message["error"])
        else:
            task, indexes = worker.tasks.popleft()
            worker.at = -1
            told = zip(indexes, message["records"], message["seconds"], strict=True)
            for index, raw, seconds in told:
                task.judged[index] = Judged(Record.from_dict(raw), seconds)
                task.items[index] = Item("")  # its photo may be in memory
            if not task.done:
                self._again.append(task)

    def _check_time(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if not worker.ready or not worker.tasks or now - worker.since < self._time_limit_s:
                continue
            self._hear(0)  # this process may have been the slow one
            if now < worker.since or worker not in self._workers:
                continue
            task, indexes = worker.tasks[0]
            if worker.at >= len(indexes) > 1:
                task.alone = True  # all were opened: which one takes so long is yet to be seen
            else:
                suspect = indexes[min(max(worker.at, 0), len(indexes) - 1)]
                self._note("photo_timeout", {"source": task.items[suspect].source})
                self._fail(
                    task,
                    suspect,
                    FailureKind.TIMEOUT,
                    f"not judged within {self._time_limit_s:g} seconds, the limit",
                )
            worker.process.kill()
            self._replace(worker)

    def _buried(self, worker: _Worker) -> None:
        worker.process.join()
        if not worker.ready:
            self._deaths_at_start += 1
            if self._deaths_at_start >= _DEATHS_AT_START:
                raise FaunalensError(
                    f"worker processes die when they start (exit code {worker.process.exitcode}); "
                    "is there enough memory for that many --workers?"
                )
        elif worker.tasks:
            task, indexes = worker.tasks[0]
            suspect = indexes[min(max(worker.at, 0), len(indexes) - 1)]
            task.deaths[suspect] += 1
            task.alone = True
            details = {"exit_code": worker.process.exitcode, "source": task.items[suspect].source}
            self._note("worker_died", details)
            if task.deaths[suspect] > 1:
                how = _exit_name(worker.process.exitcode)
                self._fail(task, suspect, FailureKind.INTERNAL, f"the decoder crashed ({how})")
        self._replace(worker)

    def _fail(self, task: _Task, index: int, kind: FailureKind, message: str) -> None:
        record = Record(
            source=task.items[index].source, model=self._model, failure=Failure(kind, message)
        )
        task.judged[index] = Judged(record, 0.0)

    def _replace(self, worker: _Worker) -> None:
        for task, _ in worker.tasks:
            if not task.done:
                self._again.append(task)
        worker.process.join()
        worker.connection.close()
        self._workers[self._workers.index(worker)] = self._start()

    def _patience(self) -> float:
        """Seconds until the next worker may overrun."""
        now = time.monotonic()
        busy = [worker.since for worker in self._workers if worker.ready and worker.tasks]
        return max(0.05, min(busy, default=now) + self._time_limit_s - now)

    def _start(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=work, args=(there, self._settings), daemon=True)
        with _sigint_ignored():
            process.start()
        there.close()
        return _Worker(process, here, since=time.monotonic())


@contextlib.contextmanager
def _sigint_ignored() -> Iterator[None]:
    """What a child inherits: it must not print a traceback when Ctrl-C comes while it starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_name(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
