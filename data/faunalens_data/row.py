"""One picture of the data set as a value, and the words it may be described with.

A row has labels, or it is a negative and has a kind; never both, never neither.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import PurePosixPath

from faunalens.errors import FaunalensError
from faunalens.labels import load_labels

RESERVED_LABELS = ("coral", "fur_skin", "seahorse", "taxidermy", "other_protected")
"""Ids that a manifest may use although no model answers them yet: protected or regulated goods, so
their pictures are no negatives either."""

NEGATIVE_KINDS = (
    "like_ivory",
    "like_scales",
    "like_shell",
    "like_coral",
    "like_fur",
    "goods",
    "animal",
    "toy_or_art",
    "scene",
    "other",
)
"""What a negative shows, so that false alarms can be counted by kind; `other`: nobody said."""

SHA256 = re.compile(r"[0-9a-f]{64}")
"""A hash as the manifest writes it."""


class ManifestError(FaunalensError):
    """A manifest, override or split file is not what it must be.

    Attributes:
        problems: Everything found wrong with the row, one sentence each; the message is the first.
        line: Line of the file where the faulty row begins, from 1; None if no line is to blame.
        file: Cell `file` of the faulty row; empty if it is not known.
    """

    def __init__(
        self, *problems: str, line: int | None = None, file: str = "", where: str = ""
    ) -> None:
        super().__init__(f"{where}: {problems[0]}" if where else problems[0])
        self.problems = problems
        self.line = line
        self.file = file


@dataclass(frozen=True)
class Row:
    """One picture of the data set.

    Attributes:
        file: Path below the images folder, with `/` between folders.
        sha256: Hash of the file, 64 hex digits.
        labels: What it shows, in the order of the label list; empty for a negative.
        negative_kind: One of `NEGATIVE_KINDS` for a negative, else None.
        group: Pictures of one object, near duplicates and crops share it; splits keep it whole.
        source: Where it came from (a repository, a shop); the honest test keeps sources apart.
        source_path: Place inside the source.
        commit: Version of the source.
        licence: Licence as stated there.
        rights: `open`, `noncommercial`, `unstated`, or another word of the owner's.
        photo_kind: studio, listing, museum, in-the-wild, crop, ...
        width: Pixels after EXIF orientation; None if not recorded.
        height: Likewise.
        note: What the source says it shows.

    Raises:
        ManifestError: Values are not allowed; `problems` has one sentence for each.
    """

    file: str
    sha256: str
    labels: tuple[str, ...]
    negative_kind: str | None
    group: str
    source: str
    source_path: str = ""
    commit: str = ""
    licence: str = ""
    rights: str = "unstated"
    photo_kind: str = ""
    width: int | None = None
    height: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if problems := tuple(self._problems()):
            raise ManifestError(*problems)

    @property
    def is_negative(self) -> bool:
        """Whether the picture counts as showing none of the labels (reserved ones included)."""
        return not self.labels

    @property
    def strata(self) -> tuple[str, ...]:
        """Names under which the picture is counted: its labels, or its negative kind."""
        return self.labels or (str(self.negative_kind),)

    def _problems(self) -> Iterator[str]:
        if not self.file:
            yield "file is empty, expected a path below the images folder"
        elif (
            self.file.startswith("/") or "\\" in self.file or ".." in PurePosixPath(self.file).parts
        ):
            yield f"file {self.file!r} must be a path below the images folder, with '/' between"
        if not SHA256.fullmatch(self.sha256):
            yield f"sha256 {self.sha256!r} must be 64 lower-case hex digits"
        yield from label_problems(self.labels, self.negative_kind)
        for name in ("group", "source"):
            if not getattr(self, name):
                yield f"{name} is empty; give each object (group) and each origin (source) a name"
        for name in ("width", "height"):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield f"{name} is {value}, expected 1 or more pixels"


@cache
def known_labels() -> tuple[str, ...]:
    """Every id a row may carry: the model's labels in model order, then the reserved ones."""
    ids = load_labels().ids
    return ids + tuple(label for label in RESERVED_LABELS if label not in ids)


def label_problems(labels: Sequence[str], negative_kind: str | None) -> Iterator[str]:
    """Everything wrong with what a picture is said to show, as sentences."""
    for label in labels:
        if label not in known_labels():
            yield f"unknown label {label!r}{did_you_mean(label, known_labels())}"
    if len(set(labels)) < len(labels):
        yield f"labels {';'.join(labels)!r} name one label twice"
    if negative_kind is not None and negative_kind not in NEGATIVE_KINDS:
        yield (
            f"unknown negative_kind {negative_kind!r}{did_you_mean(negative_kind, NEGATIVE_KINDS)};"
            f" expected one of {', '.join(NEGATIVE_KINDS)}"
        )
    if labels and negative_kind is not None:
        yield "labels and negative_kind are both set; a picture with a label is no negative"
    if not labels and negative_kind is None:
        yield "labels and negative_kind are both empty; name what it shows, or a negative kind"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'ivory'?`, or nothing when no known word is close."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
