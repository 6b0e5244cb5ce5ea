"""Clusters as CSV files and as lines for a terminal."""

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from faunalens.errors import FileError, UsageError
from faunalens.flat import inert
from faunalens.fragments import visible
from faunalens.linking.clusters import Cluster
from faunalens.linking.rows import Rows
from faunalens.record import Record
from faunalens.report import shorten, table_lines

_SHOWN = 20  # clusters, and pairs, in the terminal
_FIXED: dict[str, Callable[[Record], str]] = {
    "ad": lambda record: record.ad or "",
    "source": lambda record: record.source,
    "folder": lambda record: os.path.dirname(record.source),
}


def group_by(name: str, example: Record) -> Callable[[Record], str]:
    """How to read the column `name` of a record.

    Args:
        name: `ad`, `source`, `folder` (of the source), or a column of the table of adverts.
        example: A record of the same results.

    Raises:
        UsageError: There is no such column; names those that there are.
    """
    if name in _FIXED:
        return _FIXED[name]
    columns = example.columns or {}
    if name not in columns:
        known = ", ".join([*_FIXED, *columns])
        raise UsageError(f"the results have no column {name!r} to go by; they have {known}")

    def column(record: Record) -> str:
        value = (record.columns or {}).get(name)
        return "" if value is None else str(value)

    return column


def write_clusters(out: Path, clusters: Sequence[Cluster], by: str) -> None:
    """One row per photo, cluster by cluster.

    Raises:
        FileError: It cannot be written.
    """
    tied = [] if by in ("ad", "source") else [by]
    header = ["cluster", "photos", f"different_{by}", *tied, "ad", "source", "sha256"]
    header += ["verdict", "label", "probability", "link", "bits", "cosine"]

    def rows() -> Iterable[list[Any]]:
        for cluster in clusters:
            head = [cluster.number, len(cluster.members), len(cluster.groups)]
            for member in cluster.members:
                record = member.record
                group = [member.group] if tied else []
                photo = [*group, record.ad, record.source, record.sha256]
                verdict = [record.verdict, record.label, record.probability]
                link = [member.link, member.bits, f"{member.cosine:.3f}"]
                yield [*head, *photo, *verdict, *link]

    _write(out, header, rows())


def write_ties(out: Path, pairs: Iterable[tuple[str, str, int]], by: str) -> None:
    """One row per pair of groups that share photos.

    Raises:
        FileError: It cannot be written.
    """
    _write(out, [f"{by}_a", f"{by}_b", "clusters"], ([*pair] for pair in pairs))


def summary_lines(
    clusters: Sequence[Cluster],
    pairs: Sequence[tuple[str, str, int]],
    by: str,
    width: int | None,
) -> Iterable[str]:
    """What was found, for a terminal of `width` columns; None does not cut."""
    photos = sum(len(cluster.members) for cluster in clusters)
    yield f"{len(clusters):,} clusters of {photos:,} photos"
    if clusters:
        rows = [("cluster", "photos", f"different {by}", "strongest", "first photo")]
        for one in clusters[:_SHOWN]:
            strongest = max(one.members, key=lambda m: m.record.verdict.strength)  # type: ignore
            name = f"{strongest.record.verdict} {strongest.record.label}"
            first = visible(one.members[0].record.source)
            rows.append((str(one.number), *_counts(one), visible(name), first))
        yield from table_lines(rows, right={0, 1, 2}, width=width)
    if pairs:
        yield ""
        yield f"{len(pairs):,} pairs by {by} share photos"
        for a, b, count in pairs[:_SHOWN]:
            half = None if width is None else max(10, (width - 16) // 2)
            yield f"  {count:>7,}  {shorten(visible(a), half)}  {shorten(visible(b), half)}"


def lost_lines(rows: Rows) -> Iterable[str]:
    """Photos that could not be read again; nothing if all could."""
    if rows.lost:
        yield f"Warning: {rows.lost:,} photos are left out, such as"
        for source, reason in rows.first_lost:
            yield f"  {visible(source)}: {visible(reason)}"


def _counts(cluster: Cluster) -> tuple[str, str]:
    return f"{len(cluster.members):,}", f"{len(cluster.groups):,}"


def _write(out: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("w", encoding="utf-8", newline="") as handle:
                table = csv.writer(handle, lineterminator="\n")
                table.writerow(header)
                for row in rows:
                    table.writerow([inert(v) if isinstance(v, str) else v for v in row])
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(part, out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"cannot write {out}: {error.strerror}") from error
