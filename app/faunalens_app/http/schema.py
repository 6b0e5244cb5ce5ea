"""Bodies and answers of the HTTP API, for its OpenAPI description."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from faunalens.errors import FailureKind


class Failure(BaseModel):
    """Why a photo has no verdict."""

    kind: FailureKind
    message: str


class Record(BaseModel):
    """The result for one photo, as `faunalens scan` writes it."""

    model_config = ConfigDict(extra="allow")

    source: str = Field(description="File name as sent; `bytes` for a bare body.")
    sha256: str | None
    bytes: int | None
    width: int | None = Field(description="Pixels, upright.")
    height: int | None
    status: Literal["ok", "failed"]
    failure: Failure | None
    verdict: Literal["alert", "review", "clear"] | None
    label: str | None
    family: str | None
    probability: float | None = Field(description="Of the label or family that decided.")
    rule: str | None = Field(description="The comparison that decided.")
    probabilities: dict[str, float] | None = Field(description="Of all labels.")
    model: dict[str, str]
    embedding: list[float] | None = Field(None, description="If asked for.")


class Batch(BaseModel):
    """Records in the order of the photos."""

    records: list[Record]


class Health(BaseModel):
    """The service judges photos."""

    status: Literal["ok"]
    model: dict[str, str]


class Problem(BaseModel):
    """Why a request was refused: what was expected, and what to do."""

    model_config = ConfigDict(extra="allow")

    detail: str | None = None


_FILE = {"type": "string", "format": "binary"}
_ONE = {"type": "object", "required": ["photo"], "properties": {"photo": _FILE}}
_MANY = {
    "type": "object",
    "required": ["photos"],
    "properties": {"photos": {"type": "array", "items": _FILE, "minItems": 1}},
}

PHOTO_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _ONE},
        **{
            kind: {"schema": _FILE}
            for kind in ("application/octet-stream", "image/jpeg", "image/png", "image/webp")
        },
    },
}
BATCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {"multipart/form-data": {"schema": _MANY}},
}
