"""A worker process, as the pool that started it knows it."""

import contextlib
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from faunalens.batch_task import Task
from faunalens.batch_worker import Settings, work

# spawn: onnxruntime's threads do not survive a fork.
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(eq=False)
class Worker:
    """A process, and what it has been given.

    Attributes:
        ready: Whether it has loaded the model.
        tasks: What it holds, each with the indexes to judge; it is at the first.
        at: Position, in the first task's indexes, of the photo that it has open; -1 for none yet,
            and their number once all were opened.
        since: When it was last heard of, by the monotonic clock.
    """

    process: BaseProcess
    connection: Connection
    ready: bool = False
    tasks: deque[tuple[Task, list[int]]] = field(default_factory=deque)
    at: int = -1
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, settings: Settings) -> "Worker":
        """Start one; it will say that it is ready."""
        here, there = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=work, args=(there, settings), daemon=True)
        with _sigint_ignored():
            process.start()
        there.close()
        return cls(process, here)

    def give(self, task: Task) -> None:
        """Hand it what is still to do of a task."""
        indexes = task.todo
        photos = [(task.items[index].source, task.items[index].data) for index in indexes]
        if not self.tasks:
            self.at, self.since = -1, time.monotonic()
        self.tasks.append((task, indexes))
        with contextlib.suppress(OSError):  # it died; that is seen when its end is heard
            self.connection.send(photos)

    @property
    def suspect(self) -> tuple[Task, int]:
        """Its first task, and the index of the photo that it has open."""
        task, indexes = self.tasks[0]
        return task, indexes[min(max(self.at, 0), len(indexes) - 1)]

    @property
    def undecided(self) -> bool:
        """All photos of its first task were opened, so each may be the one that takes so long."""
        return self.at >= len(self.tasks[0][1]) > 1

    @property
    def end(self) -> str:
        """How it ended, such as `SIGKILL` or `exit code 1`."""
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"


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
