"""Corrections by hash: pictures to drop or to relabel, kept apart from the manifest they mend.

The file holds hashes and words only, so it can be published although the pictures cannot. The one
of the package, overrides.csv, is what `faunalens-data` applies unless it is told another.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from faunalens_data.row import SHA256, ManifestError, Row, label_problems
from faunalens_data.table import read_table

SHIPPED_OVERRIDES = Path(__file__).with_name("overrides.csv")
"""The corrections that come with the package."""


@dataclass(frozen=True)
class Override:
    """One correction.

    Attributes:
        sha256: The picture.
        action: `drop` (leave it out) or `relabel` (it shows something else).
        labels: What it shows, for `relabel`.
        negative_kind: Its kind, if it is relabelled as a negative.
        reason: Why, for whoever reads the file.

    Raises:
        ManifestError: Values are not allowed; `problems` has one sentence for each.
    """

    sha256: str
    action: str
    labels: tuple[str, ...] = ()
    negative_kind: str | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        problems = []
        if not SHA256.fullmatch(self.sha256):
            problems.append(f"sha256 {self.sha256!r} must be 64 lower-case hex digits")
        if self.action == "relabel":
            problems += label_problems(self.labels, self.negative_kind)
        elif self.action != "drop":
            problems.append(f"action {self.action!r} must be drop or relabel")
        elif self.labels or self.negative_kind:
            problems.append("a dropped picture needs no labels and no negative_kind; empty them")
        if problems:
            raise ManifestError(*problems)


COLUMNS = tuple(field.name for field in fields(Override))
"""Columns of an override file, in order."""


def read_overrides(path: str | Path) -> list[Override]:
    """Read an override file; one without rows is fine.

    Raises:
        ManifestError: The first thing wrong with it, with its line.
    """
    overrides: dict[str, Override] = {}
    for line, cells in read_table(Path(path), COLUMNS, COLUMNS):
        try:
            if isinstance(cells, ManifestError):
                raise cells
            override = Override(
                sha256=cells["sha256"],
                action=cells["action"],
                labels=tuple(filter(None, map(str.strip, cells["labels"].split(";")))),
                negative_kind=cells["negative_kind"] or None,
                reason=cells["reason"],
            )
            if override.sha256 in overrides:
                raise ManifestError(f"sha256 {override.sha256} is there twice; keep one row")
        except ManifestError as error:
            raise ManifestError(*error.problems, line=line, where=f"{path}, line {line}") from None
        overrides[override.sha256] = override
    return list(overrides.values())


def apply_overrides(rows: Iterable[Row], path: str | Path) -> list[Row]:
    """Drop and relabel rows as the override file says; hashes that no row has are let pass.

    Raises:
        ManifestError: The file is faulty.
    """
    by_hash = {override.sha256: override for override in read_overrides(path)}
    mended = []
    for row in rows:
        override = by_hash.get(row.sha256)
        if override is None:
            mended.append(row)
        elif override.action == "relabel":
            mended.append(
                replace(row, labels=override.labels, negative_kind=override.negative_kind)
            )
    return mended
