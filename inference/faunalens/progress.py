"""What a scan tells while it runs and at its end: a bar, a log for machines, a summary."""

import heapq
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import click
from tqdm import tqdm

from faunalens.batch_task import Judged
from faunalens.errors import FileError
from faunalens.fragments import visible
from faunalens.record import Record

_LOG_EVERY_S = 10.0
_SLOWEST = 3
_SLOW_S = 1.0  # faster ones are no news
_FAILED = 5  # examples shown


class Progress:
    """Counts photos as they are judged; a context manager.

    Args:
        counts: Gets the photos by verdict, those without one as `failed`.
        quiet: No bar and no summary.
        log: File that events are appended to as JSON lines, each with `time` (UTC) and `event`:
            `start`, `progress` (every 10 s), `photo_failed`, `photo_timeout`, `worker_died`,
            `fetch_retry`, `end`.

    Raises:
        FileError: The log cannot be written.
    """

    def __init__(self, counts: Counter[str], *, quiet: bool, log: Path | None) -> None:
        self.counts = counts
        self.before = 0
        self._quiet = quiet
        self._slowest: list[tuple[float, str]] = []
        self._failures: Counter[str] = Counter()
        self._examples: list[Record] = []
        self._started = self._logged = time.monotonic()
        self._log: IO[str] | None = None
        if log is not None:
            try:
                self._log = log.open("a", encoding="ascii")
            except OSError as error:
                raise FileError(f"cannot write {log}: {error.strerror}") from error
        # None: only on a terminal
        self._bar = tqdm(
            unit=" photos", smoothing=0.05, disable=True if quiet else None, dynamic_ncols=True
        )
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._bar.close()
        reason = None if kind is None else f"{kind.__name__}: {error}"
        self.note("end", {**self._numbers(), "slowest": self._slowest_first(), "error": reason})
        if self._log is not None:
            with suppress(OSError):
                self._log.close()

    def count(self, items: Callable[[], Iterable[object] | None]) -> None:
        """Count what there is to do, in the background, for the time that is left.

        Args:
            items: Gives them, or None if they cannot be known in advance.
        """
        if self._log or not self._bar.disable:
            threading.Thread(target=self._count, args=(items,), daemon=True).start()

    def _count(self, items: Callable[[], Iterable[object] | None]) -> None:
        total = 0
        with suppress(Exception):  # the run itself meets it, and says so
            for _ in items() or ():
                total += 1
                if self._stop.is_set():
                    return
        self._bar.total = total or None
        self._bar.refresh()

    def seen(self, record: Record) -> None:
        """An earlier run has judged this one."""
        self.before += 1
        self.counts[record.verdict or record.status] += 1
        if not self._bar.disable:
            self._bar.initial += 1  # not counted for the speed
            self._bar.n += 1

    def judged(self, one: Judged) -> None:
        """This one is done."""
        record = one.record
        self.counts[record.verdict or record.status] += 1
        if one.seconds > _SLOW_S:
            entry = (one.seconds, record.source)
            push = heapq.heappush if len(self._slowest) < _SLOWEST else heapq.heappushpop
            push(self._slowest, entry)
        if record.failure is not None:
            self._failures[record.failure.kind] += 1
            if len(self._examples) < _FAILED:
                self._examples.append(record)
            details = {"kind": record.failure.kind, "message": record.failure.message}
            self.note("photo_failed", {"source": record.source, **details})
        self._bar.update()
        if not self._bar.disable:
            self._bar.set_postfix_str(tally(self.counts), refresh=False)
        if self._log is not None and time.monotonic() - self._logged > _LOG_EVERY_S:
            self._logged = time.monotonic()
            self.note("progress", self._numbers())

    def note(self, event: str, details: dict[str, Any]) -> None:
        """Write an event to the log."""
        if self._log is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            self._log.write(json.dumps({"time": now, "event": event, **details}) + "\n")
            self._log.flush()
        except OSError:
            self._log = None  # a full disk ends the run where results are written, not here

    def summary(self) -> list[str]:
        """Lines for the end of a run."""
        numbers = self._numbers()
        lines = [
            f"{numbers['done']} photos in {numbers['seconds']:.1f} s "
            f"({numbers['per_second']:.1f} per second): {tally(self.counts)}"
        ]
        if self.before:
            lines[0] += f" ({self.before} of them in earlier runs)"
        if self._failures:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self._failures.most_common())
            lines.append(f"Failed: {kinds}")
            for record in self._examples:
                assert record.failure is not None
                lines.append(f"  {visible(record.source)}: {visible(record.failure.message)}")
            if (more := self._failures.total() - len(self._examples)) > 0:
                lines.append(f"  and {more} more")
        if self._slowest:
            slow = (f"{visible(one['source'])} {one['seconds']} s" for one in self._slowest_first())
            lines.append(f"Slowest: {', '.join(slow)}")
        return lines

    def say(self, lines: Iterable[str]) -> None:
        """Tell the user, unless asked to be quiet."""
        if not self._quiet:
            for line in lines:
                click.echo(line, err=True)

    def _slowest_first(self) -> list[dict[str, Any]]:
        pairs = sorted(self._slowest, reverse=True)
        return [{"source": source, "seconds": round(seconds, 2)} for seconds, source in pairs]

    def _numbers(self) -> dict[str, Any]:
        seconds = time.monotonic() - self._started
        done = self.counts.total()
        rate = (done - self.before) / seconds if seconds else 0.0
        total = self._bar.total
        return {
            "done": done,
            "total": total,
            "seconds": round(seconds, 1),
            "per_second": round(rate, 1),
            "seconds_left": round((total - done) / rate) if total and rate else None,
            **{key: self.counts[key] for key in ("alert", "review", "clear", "failed")},
        }


def tally(counts: Counter[str]) -> str:
    """Counts by verdict, for people."""
    return ", ".join(f"{counts[key]} {key}" for key in ("alert", "review", "clear", "failed"))
