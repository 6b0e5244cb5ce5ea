"""What runs in a worker process of a scan: photos in, one JSON message per task out.

A worker decodes strangers' files, so it is the part that may crash, hang, run out of memory or, in
the worst case, be taken over. What it sends home is JSON and never a pickle; what it is sent comes
from the parent alone.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, overload

from faunalens.decide import Policy
from faunalens.errors import FaunalensError
from faunalens.model import Model
from faunalens.pipeline import Classifier, Judgement
from faunalens.record import Record, encode_embedding

Photo = tuple[str, bytes | None]
"""Source, and the bytes of the file if they were read already (from an archive, from a URL)."""


@dataclass(frozen=True)
class Settings:
    """How to judge, the same in every worker.

    Attributes:
        model_path: The model file.
        rules: Thresholds and labels.
        embeddings: Whether records carry the embedding.
        memory_mb: What a photo may take beyond the loaded model; no limit if None.
    """

    model_path: Path
    rules: Policy
    embeddings: bool = False
    memory_mb: int | None = None

    def classifier(self) -> Classifier:
        """Load the model.

        Raises:
            ModelError: It cannot be loaded.
        """
        return Classifier(Model(self.model_path), self.rules)


def judge(
    classifier: Classifier,
    settings: Settings,
    photos: Sequence[Photo],
    begins: Callable[[int], None] = lambda index: None,
) -> tuple[list[Record], list[float]]:
    """Judge some photos as one batch.

    Args:
        begins: Told the index of each photo before it is opened, and their number after the last.

    Returns:
        A record and the seconds of reading and decoding per photo.
    """
    taken = [0.0] * (len(photos) + 1)

    def note(index: int) -> None:
        taken[index] = time.monotonic()
        begins(index)

    judged = classifier.classify_batch(_Watched(photos, note), sources=[name for name, _ in photos])
    taken[-1] = taken[-1] or time.monotonic()
    seconds = [max(0.0, end - start) for start, end in pairwise(taken)]
    return [_record(one, settings) for one in judged], seconds


def _record(judged: Judgement, settings: Settings) -> Record:
    if settings.embeddings and judged.embedding is not None:
        return replace(judged.record, embedding=encode_embedding(judged.embedding))
    return judged.record


class _Watched(Sequence[str | Path | bytes]):
    """The photos of a batch, which the classifier takes one by one; `note` sees it happen."""

    def __init__(self, photos: Sequence[Photo], note: Callable[[int], None]) -> None:
        self._photos = photos
        self._note = note

    def __len__(self) -> int:
        return len(self._photos)

    @overload
    def __getitem__(self, index: int) -> str | Path | bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str | Path | bytes]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index <= len(self):
            self._note(index)
        source, data = self._photos[index]
        return source if data is None else data


def work(connection: Connection, settings: Settings) -> None:
    """The life of a worker process: load, say `ready`, then answer tasks until the parent goes."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _hush_libraries()
    with contextlib.suppress(OSError):
        # If the machine runs out of memory, the kernel should take a worker and not the parent.
        Path("/proc/self/oom_score_adj").write_text("500")
    try:
        classifier = settings.classifier()
    except FaunalensError as error:
        _send(connection, {"error": str(error)})
        return
    if settings.memory_mb is not None:
        _limit_memory(settings.memory_mb)
    tasks: queue.SimpleQueue[list[Photo]] = queue.SimpleQueue()
    # Reads in the background, so that the parent's next task is here before this one is done, and
    # so that a hanging decoder does not outlive the parent.
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    _send(connection, {"ready": True})
    while True:
        photos = tasks.get()
        records, seconds = judge(
            classifier, settings, photos, lambda index: _send(connection, {"at": index})
        )
        rows = [record.to_dict() for record in records]
        _send(connection, {"records": rows, "seconds": seconds})


def _hush_libraries() -> None:
    """Libtiff and others write of each damaged file to descriptor 2; the record says it better.

    What Python itself has to say still gets there.
    """
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _receive(connection: Connection, tasks: "queue.SimpleQueue[list[Photo]]") -> None:
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)  # the parent is gone, or wants this process to go


def _send(connection: Connection, message: dict[str, Any]) -> None:
    try:
        connection.send_bytes(json.dumps(message).encode("ascii"))
    except OSError:
        os._exit(0)  # the parent is gone


def _limit_memory(megabytes: int) -> None:
    """Bound the address space, so that a photo that eats memory fails and the machine does not."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return  # not Linux: the limits on bytes and pixels still hold
    limit = pages * resource.getpagesize() + megabytes * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
