"""Records: written, read back, and refused when they are not records."""

import json
from pathlib import Path
from typing import Any

import pytest

from faunalens.decide import Verdict
from faunalens.errors import FailureKind, FileError
from faunalens.record import Failure, Record, read_records

MODEL = {"name": "m", "version": "1", "sha256": "0" * 64}
JUDGED = Record(
    source="a.jpg",
    model=MODEL,
    sha256="1" * 64,
    bytes=10,
    width=4,
    height=3,
    verdict=Verdict.ALERT,
    label="ivory",
    family="ivory",
    probability=0.97,
    rule="ivory >= alert 0.9",
    probabilities={"ivory": 0.97},
)
FAILED = Record(
    source="b\udcff.jpg", model=MODEL, failure=Failure(FailureKind.TRUNCATED, "cut short")
)
FIELDS = (
    *("schema", "source", "ad", "sha256", "bytes", "width", "height", "status", "failure"),
    *("verdict", "label", "family", "probability", "rule", "probabilities", "model"),
)


@pytest.mark.parametrize("record", [JUDGED, FAILED])
def test_round_trip(record: Record, tmp_path: Path) -> None:
    assert tuple(record.to_dict()) == FIELDS
    assert Record.from_dict(json.loads(record.to_json())) == record
    path = tmp_path / "r.jsonl"
    path.write_text(record.to_json() + "\n\n" + record.to_json() + "\n", encoding="utf-8")
    assert list(read_records(path)) == [record, record]


def test_verdict_or_failure() -> None:
    with pytest.raises(ValueError, match="either a verdict or a failure"):
        Record(source="x", model=MODEL)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2"),
        ("[]", "expected a JSON object"),
        ("{}", "not a record"),
        (json.dumps({**JUDGED.to_dict(), "schema": 9}), "schema 9"),
        (json.dumps({**JUDGED.to_dict(), "extra": 1}), "not a record"),
        (json.dumps({**JUDGED.to_dict(), "verdict": "guilty"}), "guilty"),
        (json.dumps({**JUDGED.to_dict(), "status": "failed"}), "contradicts"),
        (json.dumps({**JUDGED.to_dict(), "source": 5}), "field source"),
        (json.dumps({**JUDGED.to_dict(), "probabilities": [1]}), "field probabilities"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(JUDGED.to_json() + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(FileError, match=message):
        list(read_records(path))


@pytest.mark.parametrize("content", [b"\xff\xfe\0\0", None])
def test_unreadable_results(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "r.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"not a text file|cannot read"):
        list(read_records(path))
