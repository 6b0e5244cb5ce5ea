"""Parts dealt out to the workers of a Ray cluster."""

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from faunalens.cluster.part import Job, PartJudge
from faunalens.cluster.plan import part_name
from faunalens.errors import FaunalensError, MissingExtraError

_MOST_BLOCKS = 20_000  # of part numbers; Ray keeps some kilobytes about each

Done = Callable[[int, Counter[str], int], None]
"""Told of each part when it is written: its number, its photos by verdict, and the process that
judged it."""


def judge_parts(
    job: Job, *, address: str | None = None, workers: int | None = None, done: Done
) -> None:
    """Judge all parts of a job that have no file yet.

    A worker that is lost, with its machine or alone, is replaced and its part judged again. Ray
    Data hands a worker two parts at most, so that nothing piles up.

    Args:
        address: Of a running cluster, such as `auto` or `ray://head:10001`; a cluster of this
            machine's cores alone if None (and RAY_ADDRESS is not set).
        workers: Of one core each; by default as many as the cluster has cores.

    Raises:
        MissingExtraError: The extra `cluster` is not installed.
        FaunalensError: The cluster cannot be reached, or a worker cannot work.
    """
    todo = [
        number
        for number in range(job.plan.parts)
        if not (job.out / part_name(number, job.kind)).exists()
    ]
    if not todo:
        return
    with _cluster(address) as ray:
        cores = int(ray.cluster_resources().get("CPU", 1))
        count = min(workers or cores, len(todo))
        if count > cores:
            raise FaunalensError(
                f"{count} workers need a core each, and the cluster has {cores}; lower --workers"
            )
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        parts = ray.data.from_items(
            [{"part": number} for number in todo],
            override_num_blocks=min(len(todo), _MOST_BLOCKS),
        ).map_batches(
            _Actor,
            fn_constructor_args=(job,),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=count, initial_size=count, max_tasks_in_flight_per_actor=2
            ),
        )
        try:
            for row in parts.iter_rows():
                pid = row.pop("pid")
                done(row.pop("part"), Counter({key: n for key, n in row.items() if n}), pid)
        except ray.exceptions.RayError as error:
            raise FaunalensError(_reason(error)) from error


class _Actor:
    """What Ray runs on a core: batches of part numbers to batches of counts."""

    def __init__(self, job: Job) -> None:
        self._judge = PartJudge(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {
            key: [] for key in ("part", "pid", "alert", "review", "clear", "failed")
        }
        for number in batch["part"]:
            counts = self._judge.judge(int(number))
            values = {**counts, "part": int(number), "pid": os.getpid()}
            for key, column in rows.items():
                column.append(values.get(key, 0))
        return rows


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    address = address or os.environ.get("RAY_ADDRESS")
    # Both are read when ray is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        # As Ray does on Windows and macOS: a cluster of this machine alone, on loopback.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("cluster", "--engine ray") from error
    # Ray tells of its plans at length; what matters is raised.
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        local: dict[str, Any] = {}
        if address is None:
            from faunalens.cores import available_cores

            local = {"num_cpus": available_cores(), "include_dashboard": False}
        try:
            with _sigterm_kept():
                ray.init(address=address, log_to_driver=False, logging_level="error", **local)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise FaunalensError(
                f"cannot reach the Ray cluster {address or 'of this machine'}: {reason[0]}"
            ) from error
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Ray's own handler of a request to end aborts the process with a dump of its stack."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _reason(error: BaseException) -> str:
    """Our own message, if the failure began in our code; else the last line of Ray's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FaunalensError):
            return str(seen)
        seen = getattr(seen, "cause", None) or seen.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"the Ray cluster failed: {lines[-1] if lines else type(error).__name__}"
