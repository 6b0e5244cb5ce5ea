"""The result for one photo: one row, the same everywhere it is written."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from faunalens.decide import Verdict
from faunalens.errors import FailureKind, FileError

SCHEMA = 1


@dataclass(frozen=True)
class Failure:
    """Why a photo has no verdict: a closed kind, and a sentence for people."""

    kind: FailureKind
    message: str


@dataclass(frozen=True)
class Record:
    """One photo, one row. Every field is always present, None where it does not apply; only
    `columns`, `duplicate_of` and `embedding` are left out of rows that have none.

    Attributes:
        source: Path, archive member or URL, as given.
        ad: Advert id, when the input is a table of adverts.
        sha256, bytes: Of the file as read; None if it could not be read.
        width, height: Pixels after EXIF orientation; None if it could not be decoded.
        failure: None if the photo was judged.
        verdict, label, family, probability, rule: The decision (see `decide.Decision`).
        probabilities: All labels of the model.
        model: name, version and sha256 of the model file.
        columns: Other columns of the table of adverts, by name.
        duplicate_of: Source of the identical file whose judgement this is.
        embedding: Of the photo, packed by `encode_embedding`.
    """

    source: str
    model: Mapping[str, str]
    ad: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    failure: Failure | None = None
    verdict: Verdict | None = None
    label: str | None = None
    family: str | None = None
    probability: float | None = None
    rule: str | None = None
    probabilities: Mapping[str, float] | None = None
    columns: Mapping[str, Any] | None = None
    duplicate_of: str | None = None
    embedding: str | None = None

    def __post_init__(self) -> None:
        if (self.failure is None) == (self.verdict is None):
            raise ValueError("a record has either a verdict or a failure")

    @property
    def status(self) -> str:
        """`ok` or `failed`."""
        return "ok" if self.failure is None else "failed"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, fields in the documented order."""
        failure = self.failure
        optional = {
            "columns": None if self.columns is None else dict(self.columns),
            "duplicate_of": self.duplicate_of,
            "embedding": self.embedding,
        }
        return {
            "schema": SCHEMA,
            "source": self.source,
            "ad": self.ad,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "width": self.width,
            "height": self.height,
            "status": self.status,
            "failure": failure and {"kind": str(failure.kind), "message": failure.message},
            "verdict": self.verdict and str(self.verdict),
            "label": self.label,
            "family": self.family,
            "probability": self.probability,
            "rule": self.rule,
            "probabilities": None if self.probabilities is None else dict(self.probabilities),
            "model": dict(self.model),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def to_json(self) -> str:
        """One line of JSON lines, without the newline.

        ASCII only: a file name that is not valid UTF-8 keeps its bytes as lone surrogates,
        which JSON can carry as escapes and a UTF-8 file cannot.
        """
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: A field is missing, unknown, or of the wrong type.
        """
        fields = dict(raw)
        try:
            schema, status = fields.pop("schema"), fields.pop("status")
            if schema != SCHEMA:
                raise ValueError(f"record schema {schema!r}, this program reads {SCHEMA}")
            failure, verdict = fields.pop("failure"), fields.pop("verdict")
            record = cls(
                failure=failure and Failure(FailureKind(failure["kind"]), failure["message"]),
                verdict=verdict and Verdict(verdict),
                **fields,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record: {type(error).__name__}: {error}") from error
        for name, kind in _TYPES.items():
            value = getattr(record, name)
            if value is not None and not isinstance(value, kind):
                raise ValueError(f"field {name} has the wrong type: {value!r}")
        if status != record.status:
            raise ValueError(f"status {status!r} contradicts the failure field")
        return record


_TYPES: dict[str, type | tuple[type, ...]] = {
    "source": str,
    "ad": str,
    "sha256": str,
    "bytes": int,
    "width": int,
    "height": int,
    "label": str,
    "family": str,
    "probability": (int, float),
    "rule": str,
    "probabilities": dict,
    "model": dict,
    "columns": dict,
    "duplicate_of": str,
    "embedding": str,
}


def encode_embedding(embedding: npt.NDArray[np.float32]) -> str:
    """`(D,)` float32 to base64 of little-endian float16: a third of the digits, and enough.

    Rounding moves the cosine of two unit vectors by less than 0.001.
    """
    return base64.b64encode(embedding.astype("<f2").tobytes()).decode("ascii")


def decode_embedding(text: str) -> npt.NDArray[np.float32]:
    """The inverse of `encode_embedding`: `(D,)` float32.

    Raises:
        ValueError: Not such a text.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not an embedding: {error}") from error
    return np.frombuffer(raw, "<f2").astype(np.float32)


def read_records(path: Path) -> Iterator[Record]:
    """Read a JSON-lines results file, one record at a time.

    Raises:
        FileError: Unreadable, or a line is not a record; names the line.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    raw = json.loads(line)
                    if not isinstance(raw, dict):
                        raise ValueError("expected a JSON object")
                    yield Record.from_dict(raw)
                except (ValueError, RecursionError) as error:
                    raise FileError(
                        f"{path}, line {number}: {error}; expected JSON lines written by "
                        "`faunalens scan`"
                    ) from error
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not a text file; expected JSON lines") from error
