"""Worker processes that a photo may crash, hang or bloat at the cost of its own record alone.

The parent knows which photo each worker has open, because the worker says so before it opens it.
When a worker dies or overruns its time, that photo is the suspect:

- overran: its record is `timeout`, the worker is killed and started again;
- died: the photo is tried once more, alone, in a fresh worker (the kernel may have killed the
  worker for the memory of another); if that dies too, its record is `internal`.

Everything else the worker had been given is handed to the next one.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from faunalens.batch_process import Worker
from faunalens.batch_task import Judged, Task
from faunalens.batch_worker import Settings
from faunalens.errors import FailureKind, FaunalensError
from faunalens.inputs_item import Item
from faunalens.record import Record

# Photos per task: enough that sending the task costs nothing beside it, few enough that records
# appear steadily and a crash costs little.
_CHUNK = 8
# Bytes in memory after which a task is full: photos from an archive may have 50 MB each, and each
# worker has two tasks.
_CHUNK_BYTES = 32 << 20
# Tasks that a worker holds: the one it works on, and the next.
_AHEAD = 2
# Tasks begun or done but not yet given out, per worker: how far the others may run ahead of one
# slow photo. Only their records are held, not their photos.
_WINDOW = 64
_DEATHS_AT_START = 3

Note = Callable[[str, dict[str, Any]], None]
"""Told of events (`worker_died`, `photo_timeout`, ...) with their details, for a log."""


def chunk_of(source: Iterator[Item]) -> list[Item]:
    """The next items of a task; none at the end."""
    items: list[Item] = []
    size = 0
    for item in source:
        items.append(item)
        size += len(item.data or b"")
        if len(items) == _CHUNK or size >= _CHUNK_BYTES:
            break
    return items


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
        self._again: deque[Task] = deque()
        self._workers: list[Worker] = []
        for _ in range(workers):
            self._workers.append(Worker.start(settings))

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
        order: deque[Task] = deque()
        more = True
        while True:
            while more and len(order) < _WINDOW * len(self._workers) and self._idle():
                chunk = chunk_of(source)
                more = bool(chunk)
                if chunk:
                    task = Task(chunk, self._model)
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

    # ------------------------------------------------------------------------------- dealing

    def _idle(self) -> bool:
        while self._again and (worker := self._free()):
            worker.give(self._again.popleft())
        return self._free() is not None

    def _free(self) -> Worker | None:
        # A worker that is still loading is given its first task at once: it waits in the pipe.
        worker = min(self._workers, key=lambda one: len(one.tasks))
        if len(worker.tasks) >= (_AHEAD if worker.ready else 1):
            return None
        return worker

    def _give(self, task: Task) -> None:
        worker = self._free()
        if worker is None:
            self._again.append(task)
        else:
            worker.give(task)

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

    def _understand(self, worker: Worker, message: dict[str, Any]) -> None:
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
                task.settle(index, Record.from_dict(raw), seconds)
            if not task.done:
                self._again.append(task)

    # -------------------------------------------------------------------------------- limits

    def _check_time(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if not worker.ready or not worker.tasks or now - worker.since < self._time_limit_s:
                continue
            self._hear(0)  # this process may have been the slow one
            if now < worker.since or worker not in self._workers:
                continue
            task, suspect = worker.suspect
            if worker.undecided:
                task.alone = True
            else:
                self._note("photo_timeout", {"source": task.items[suspect].source})
                limit = f"{self._time_limit_s:g} seconds, the limit"
                task.fail(suspect, FailureKind.TIMEOUT, f"not judged within {limit}")
            worker.process.kill()
            self._replace(worker)

    def _buried(self, worker: Worker) -> None:
        worker.process.join()
        if not worker.ready:
            self._deaths_at_start += 1
            if self._deaths_at_start >= _DEATHS_AT_START:
                raise FaunalensError(
                    f"worker processes die when they start (exit code {worker.process.exitcode}); "
                    "is there enough memory for that many --workers?"
                )
        elif worker.tasks:
            task, suspect = worker.suspect
            task.deaths[suspect] += 1
            task.alone = True
            details = {"exit_code": worker.process.exitcode, "source": task.items[suspect].source}
            self._note("worker_died", details)
            if task.deaths[suspect] > 1:
                task.fail(suspect, FailureKind.INTERNAL, f"the decoder crashed ({worker.end})")
        self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        for task, _ in worker.tasks:
            if not task.done:
                self._again.append(task)
        worker.process.join()
        worker.connection.close()
        self._workers[self._workers.index(worker)] = Worker.start(self._settings)

    def _patience(self) -> float:
        """Seconds until the next worker may overrun."""
        now = time.monotonic()
        busy = [worker.since for worker in self._workers if worker.ready and worker.tasks]
        return max(0.05, min(busy, default=now) + self._time_limit_s - now)
