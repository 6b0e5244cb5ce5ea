"""One part of a scan, from its list of photos to its file; knows nothing of Ray."""

import hashlib
import os
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faunalens.batch_pool import Pool
from faunalens.batch_worker import Settings
from faunalens.cluster.plan import Plan, part_name, read_list
from faunalens.decide import Policy
from faunalens.errors import FileError, ModelError
from faunalens.model import shipped_model_path
from faunalens.output_formats import read_file, write_file
from faunalens.record import Record


@dataclass(frozen=True)
class Job:
    """What a worker must know; the same for all.

    Attributes:
        out: Folder of the results, which every machine sees under this path.
        kind: Format of the parts.
        plan: What there is to judge.
        labels: Of the model.
        options: All that decides what the rows say.
        program: Version of faunalens.
        model: Identity of the model; a machine that has another refuses.
        model_path: None for the one that ships with the machine's own faunalens.
        rules: Thresholds and labels.
        embeddings: Whether rows carry the embedding.
        time_limit_s, memory_mb: For one photo.
    """

    out: Path
    kind: str
    plan: Plan
    labels: tuple[str, ...]
    options: dict[str, Any]
    program: str
    model: dict[str, str]
    model_path: Path | None
    rules: Policy
    embeddings: bool
    time_limit_s: float
    memory_mb: int | None


class PartJudge:
    """Judges parts, one after the other, with one worker process that loads the model once.

    The process of its own is what a photo may crash: Ray would start this worker again and hand it
    the same part, and so the same photo, for ever.

    Raises:
        ModelError: This machine has another model than the job asks for.
    """

    def __init__(self, job: Job) -> None:
        path = job.model_path or shipped_model_path()
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(
                f"{socket.gethostname()} cannot read the model {path}: {error.strerror}"
            ) from error
        if sha256 != job.model["sha256"]:
            raise ModelError(
                f"{socket.gethostname()} has another model in {path} (SHA-256 {sha256[:12]}, "
                f"expected {job.model['sha256'][:12]}); install the same faunalens everywhere"
            )
        self._job = job
        settings = Settings(path, job.rules, embeddings=job.embeddings, memory_mb=job.memory_mb)
        self._pool = Pool(settings, job.model, workers=1, time_limit_s=job.time_limit_s)

    def judge(self, number: int) -> Counter[str]:
        """Judge a part and write it; its file appears under its name only when it is whole.

        Returns:
            Its photos by verdict, those without one as `failed`. A part that is there already, as
            when a worker was lost just after writing it, is not judged again.

        Raises:
            FileError: The list cannot be read, or the part not written.
        """
        job = self._job
        part = job.out / part_name(number, job.kind)
        if part.exists():
            return Counter(_key(record) for record in read_file(part))
        counts: Counter[str] = Counter()
        # Two workers may be at one part, if one was only taken for lost: each has its own file.
        scratch = job.out / f"_{part.name}.{socket.gethostname()}.{os.getpid()}.tmp"
        try:
            write_file(
                scratch,
                job.kind,
                self._records(number, counts),
                labels=job.labels,
                carried=job.plan.carried,
                embedding=job.embeddings,
                about={"program": job.program, **job.options},
            )
            os.replace(scratch, part)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise FileError(
                f"{socket.gethostname()} cannot write {part}: {error.strerror}; make room, then "
                "use the same command with --resume"
            ) from error
        return counts

    def close(self) -> None:
        """End the worker process."""
        self._pool.__exit__()

    def _records(self, number: int, counts: Counter[str]) -> Iterator[Record]:
        # Read twice rather than held: what comes out is in the order of what goes in.
        items, again = (read_list(self._job.out, number) for _ in range(2))
        for item, judged in zip(items, self._pool.judge(again), strict=True):
            record = replace(judged.record, ad=item.ad, columns=item.columns)
            counts[_key(record)] += 1
            yield record


def _key(record: Record) -> str:
    return str(record.verdict or record.status)
