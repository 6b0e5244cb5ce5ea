"""Photos to adverts: the strongest verdict, the photo that decided, how many photos."""

import csv
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from faunalens.errors import FileError
from faunalens.flat import inert, text
from faunalens.output_formats import format_for, pyarrow
from faunalens.output_manifest import replace
from faunalens.record import Record

COLUMNS = {
    "ad": str,
    "verdict": str,
    "label": str,
    "probability": float,
    "source": str,
    "photos": int,
    "alert": int,
    "review": int,
    "failed": int,
    "shared": int,
}
"""Of an advert: its strongest verdict with the label, the probability and the source of the photo
that decided; photos in all, with each of these verdicts, that failed, and whose very file another
advert has too. `verdict` is null if all its photos failed."""

_BATCH = 1000


def by_ad(records: Iterable[Record], out: Path) -> int:
    """Write one row per advert, in the order of their first photos.

    The photos of an advert need not stand together. Memory does not grow with their number.

    Args:
        out: Ends in `.jsonl`, `.csv` or `.parquet`; replaced when the new one is whole.

    Returns:
        Number of adverts.

    Raises:
        FileError: No record names an advert, or `out` cannot be written.
    """
    kind = format_for(out, None)
    with tempfile.TemporaryDirectory(prefix="faunalens-") as folder:
        index = sqlite3.connect(Path(folder) / "ads.sqlite")
        try:
            count = _gather(index, records)
            if not count:
                raise FileError(
                    "no photo belongs to an advert: --by-ad needs a table of adverts and "
                    "--ad-column"
                )
            scratch = out.with_name(out.name + ".tmp")
            try:
                _WRITERS[kind](scratch, _rows(index))
                replace(scratch, out)
            except OSError as error:
                raise FileError(f"cannot write {out}: {error.strerror or error}") from error
        finally:
            index.close()
    return count


def _gather(index: sqlite3.Connection, records: Iterable[Record]) -> int:
    index.execute("pragma journal_mode = off")
    index.execute("pragma synchronous = off")
    index.execute(
        "create table ads (ad text primary key, strength int, probability real, verdict text, "
        "label text, source text, photos int, alert int, review int, failed int)"
    )
    index.execute("create table files (sha blob, ad int, primary key (sha, ad)) without rowid")
    for record in records:
        if record.ad is None:
            continue
        strength = -1 if record.verdict is None else record.verdict.strength
        verdict = record.verdict and str(record.verdict)
        row = (
            text(record.ad), strength, record.probability or 0.0, verdict, record.label,
            text(record.source), 1, verdict == "alert", verdict == "review", strength < 0,
        )  # fmt: skip
        index.execute(
            "insert into ads values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (ad) do update set "
            "photos = photos + 1, alert = alert + excluded.alert, "
            "review = review + excluded.review, failed = failed + excluded.failed",
            row,
        )
        index.execute(
            "update ads set strength = ?, probability = ?, verdict = ?, label = ?, source = ? "
            "where ad = ? and (strength < ? or (strength = ? and probability < ?))",
            (*row[1:6], row[0], strength, strength, row[2]),
        )
        if record.sha256 is not None:
            index.execute(
                "insert or ignore into files select ?, rowid from ads where ad = ?",
                (bytes.fromhex(record.sha256), row[0]),
            )
    count: int = index.execute("select count(*) from ads").fetchone()[0]
    return count


def _rows(index: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    found = index.execute(
        "select ad, verdict, label, case when strength < 0 then null else probability end, source, "
        "photos, alert, review, failed, (select count(*) from files as f where f.ad = ads.rowid "
        "and exists (select 1 from files as g where g.sha = f.sha and g.ad <> f.ad)) "
        "from ads order by ads.rowid"
    )
    for row in found:
        yield dict(zip(COLUMNS, row, strict=True))


def _write_jsonl(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="ascii") as handle:
        for row in rows:
            handle.write(json.dumps(row) + "\n")


def _write_csv(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in rows:
            table.writerow(inert(v) if isinstance(v, str) else v for v in row.values())


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    pa, parquet = pyarrow()
    types = {str: pa.string(), float: pa.float64(), int: pa.int64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    with path.open("wb") as handle, parquet.ParquetWriter(handle, schema) as writer:
        batch = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema))


_WRITERS = {"jsonl": _write_jsonl, "csv": _write_csv, "parquet": _write_parquet}
