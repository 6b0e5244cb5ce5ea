"""Records one level deep, as the columns of CSV and Parquet, and back."""

from collections.abc import Iterable, Mapping
from typing import Any

from faunalens.decide import Verdict
from faunalens.errors import FailureKind
from faunalens.record import SCHEMA, Failure, Record

FIXED: dict[str, type] = {
    "schema": int,
    "source": str,
    "ad": str,
    "sha256": str,
    "bytes": int,
    "width": int,
    "height": int,
    "status": str,
    "failure.kind": str,
    "failure.message": str,
    "verdict": str,
    "label": str,
    "family": str,
    "probability": float,
    "rule": str,
    "model.name": str,
    "model.version": str,
    "model.sha256": str,
    "duplicate_of": str,
}
"""The columns that every table has, with their types. After them come `p.<label>` (the
probabilities), `ad.<column>` (carried through from a table of adverts, as text) and, if asked for,
`embedding`."""

_PROBABILITY = "p."
_CARRIED = "ad."


def columns(labels: Iterable[str], carried: Iterable[str], *, embedding: bool) -> list[str]:
    """Names of the columns, in order."""
    return [
        *FIXED,
        *(_PROBABILITY + label for label in labels),
        *(_CARRIED + name for name in carried),
        *(["embedding"] if embedding else []),
    ]


def flatten(record: Record) -> dict[str, Any]:
    """Column to value; what does not apply is None or missing."""
    failure = record.failure
    row: dict[str, Any] = {
        "schema": SCHEMA,
        "source": text(record.source),
        "ad": None if record.ad is None else text(record.ad),
        "sha256": record.sha256,
        "bytes": record.bytes,
        "width": record.width,
        "height": record.height,
        "status": record.status,
        "failure.kind": str(failure.kind) if failure else None,
        "failure.message": text(failure.message) if failure else None,
        "verdict": str(record.verdict) if record.verdict else None,
        "label": record.label,
        "family": record.family,
        "probability": record.probability,
        "rule": record.rule,
        **{f"model.{key}": record.model.get(key) for key in ("name", "version", "sha256")},
        "duplicate_of": None if record.duplicate_of is None else text(record.duplicate_of),
        "embedding": record.embedding,
    }
    for label, probability in (record.probabilities or {}).items():
        row[_PROBABILITY + label] = probability
    for name, value in (record.columns or {}).items():
        row[_CARRIED + name] = None if value is None else text(str(value))
    return row


def unflatten(row: Mapping[str, Any]) -> Record:
    """The inverse of `flatten`.

    Raises:
        ValueError: Not such a row.
    """
    known = {name: row.get(name) for name in FIXED}
    if known["schema"] != SCHEMA or "source" not in row:
        raise ValueError("expected a row written by `faunalens scan`")
    known["source"] = known["source"] or ""  # CSV knows no difference
    kind = known["failure.kind"]
    probabilities = {
        name.removeprefix(_PROBABILITY): value
        for name, value in row.items()
        if name.startswith(_PROBABILITY) and value is not None
    }
    carried = {
        name.removeprefix(_CARRIED): value
        for name, value in row.items()
        if name.startswith(_CARRIED)
    }
    same: dict[str, Any] = {
        name: known[name]
        for name in FIXED
        if name not in ("schema", "status", "verdict") and "." not in name
    }
    return Record(
        **same,
        failure=Failure(FailureKind(kind), known["failure.message"] or "") if kind else None,
        verdict=Verdict(known["verdict"]) if known["verdict"] else None,
        probabilities=probabilities or None,
        columns=carried or None,
        model={key: known[f"model.{key}"] or "" for key in ("name", "version", "sha256")},
        embedding=row.get("embedding"),
    )


def text(value: str) -> str:
    """Text that UTF-8 can hold: a file name that is not valid has its bytes as escapes."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def inert(value: str) -> str:
    """Keep a spreadsheet from running a text as a formula (OWASP, CSV injection).

    A text that begins with the quote itself is quoted too, so that `active` can undo it.
    """
    return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r", "'") else value


def active(value: str) -> str:
    """The inverse of `inert`."""
    return value.removeprefix("'")
