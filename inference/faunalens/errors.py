"""What can go wrong, as one tree.

FaunalensError            everything this package raises on purpose
├── UsageError            the caller asked for something that does not exist (exit code 2)
├── FileError             a file that the caller named cannot be read, written or understood
├── MissingExtraError     an optional dependency is not installed; names the pip command
├── LabelError            labels.toml is not what it must be
├── ModelError            the model file is missing, not ours, or breaks its contract
└── PhotoError            one photo could not be judged; carries the failure kind of its record

Messages say what was expected, what was found and what to do. A traceback means a bug.
"""

from enum import StrEnum


class FailureKind(StrEnum):
    """Why one photo has no verdict (field `failure.kind` of a record)."""

    MISSING = "missing"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    DENIED = "denied"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class FaunalensError(Exception):
    """Base of every expected error; `str()` is one line fit to show a user."""


class UsageError(FaunalensError):
    """The caller named a label, option or format that does not exist."""


class FileError(FaunalensError):
    """A file that the caller named cannot be read, written or understood."""


class MissingExtraError(FaunalensError, ImportError):
    """An optional dependency is not installed.

    Args:
        extra: Name of the extra that brings it.
        need: What it is needed for, as in "drawing plots".
    """

    def __init__(self, extra: str, need: str) -> None:
        super().__init__(f"{need} needs more packages. Run: pip install 'faunalens[{extra}]'")


class LabelError(FaunalensError):
    """The label list is malformed."""


class ModelError(FaunalensError):
    """The model file is missing, unreadable, or does not keep the contract."""


class PhotoError(FaunalensError):
    """One photo could not be judged.

    Attributes:
        kind: The failure kind that its record will carry.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type["PhotoError"], tuple[FailureKind, str]]:
        # The default would call PhotoError(message): one argument short, so a worker process
        # could not send the error home.
        return type(self), (self.kind, str(self))
