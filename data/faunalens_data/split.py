"""Who trains and who tests: parts and folds that keep objects, or whole sources, together.

`part` and `group_fold` keep every group whole and so measure the model on more of the same; in
`source_fold` no source is in two folds, and that is the honest figure for adverts never seen.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from faunalens.errors import UsageError
from faunalens_data.deal import assign
from faunalens_data.row import ManifestError, Row
from faunalens_data.table import read_table, write_table

PARTS = ("train", "val", "test")
"""Values of `Split.part`."""

Scheme = Literal["part", "group_fold", "source_fold"]
"""Columns of a split file that pictures can be held out by."""


@dataclass(frozen=True)
class Split:
    """Where one picture goes.

    Attributes:
        file: As in the manifest.
        sha256: Hash of the file; with `source`, what joins a split to its row.
        group: As in the manifest; in one part and one `group_fold`.
        source: As in the manifest; in one `source_fold`.
        part: `train`, `val` or `test`.
        group_fold: From 0.
        source_fold: From 0.

    Raises:
        ManifestError: A part is unknown or a fold negative.
    """

    file: str
    sha256: str
    group: str
    source: str
    part: str
    group_fold: int
    source_fold: int

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ManifestError(f"part {self.part!r} must be one of {', '.join(PARTS)}")
        if self.group_fold < 0 or self.source_fold < 0:
            raise ManifestError("folds are counted from 0, found a negative number")


COLUMNS = tuple(field.name for field in fields(Split))
"""Columns of a split file, in order."""


def make_splits(
    rows: Sequence[Row], *, val: float = 0.15, test: float = 0.15, folds: int = 5, seed: int = 0
) -> list[Split]:
    """Give every row a part, a group fold and a source fold.

    The result depends on the rows and the seed, not on the order of the rows. With fewer sources
    than folds, some source folds stay empty.

    Args:
        rows: The data set.
        val: Share of the pictures for validation, 0 to 1.
        test: Share for the test; `val + test` must leave something to train on.
        folds: Number of folds, 2 or more.
        seed: Another seed gives another, equally balanced split. Source folds hardly differ:
            sources differ so much in size that few deals are balanced.

    Raises:
        UsageError: A share or the number of folds is out of range.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise UsageError(
            f"val {val:g} and test {test:g} must be 0 or more and leave a share for training"
        )
    if folds < 2:
        raise UsageError(f"expected 2 folds or more, found {folds}")
    even = [1 / folds] * folds
    part = assign(rows, [row.group for row in rows], [1 - val - test, val, test], seed)
    group_fold = assign(rows, [row.group for row in rows], even, seed)
    source_fold = assign(rows, [row.source for row in rows], even, seed)
    return [
        Split(
            file=row.file,
            sha256=row.sha256,
            group=row.group,
            source=row.source,
            part=PARTS[part[row.group]],
            group_fold=group_fold[row.group],
            source_fold=source_fold[row.source],
        )
        for row in rows
    ]


def training_rows(
    rows: Iterable[Row], splits: Iterable[Split], scheme: Scheme, held_out: Collection[int | str]
) -> list[Row]:
    """Rows to train on when `held_out` is set aside for testing.

    A row also stays out if its group occurs among the held-out ones: one object photographed by
    two sources would otherwise be learnt by heart from the one and tested on the other.

    Args:
        rows: The data set, or some of it.
        splits: Of these rows at least.
        scheme: Column to hold out by.
        held_out: Its values to set aside, as `{0}` or `{"val", "test"}`.

    Raises:
        ManifestError: A row has no split, or its group is not the one the split says.
        UsageError: A held-out value occurs nowhere.
    """
    kept, held = _divide(rows, splits, scheme, held_out)
    groups = {row.group for row in held}
    return [row for row in kept if row.group not in groups]


def held_out_rows(
    rows: Iterable[Row], splits: Iterable[Split], scheme: Scheme, held_out: Collection[int | str]
) -> list[Row]:
    """Rows to test on: the other side of `training_rows`, with the same arguments and errors."""
    return _divide(rows, splits, scheme, held_out)[1]


def write_splits(path: str | Path, splits: Iterable[Split]) -> None:
    """Write a split file; `path` holds the old file or the new one, never half of one."""
    write_table(
        Path(path), COLUMNS, ([getattr(split, name) for name in COLUMNS] for split in splits)
    )


def read_splits(path: str | Path) -> list[Split]:
    """Read a split file.

    Raises:
        ManifestError: The first thing wrong with it, with its line.
    """
    splits = []
    for line, cells in read_table(Path(path), COLUMNS, COLUMNS):
        try:
            if isinstance(cells, ManifestError):
                raise cells
            splits.append(_split(cells))
        except ManifestError as error:
            raise ManifestError(*error.problems, line=line, where=f"{path}, line {line}") from None
    return splits


def _split(cells: dict[str, str]) -> Split:
    try:
        group_fold, source_fold = int(cells["group_fold"]), int(cells["source_fold"])
    except ValueError:
        raise ManifestError(
            f"folds {cells['group_fold']!r} and {cells['source_fold']!r} must be whole numbers"
        ) from None
    return Split(
        file=cells["file"],
        sha256=cells["sha256"],
        group=cells["group"],
        source=cells["source"],
        part=cells["part"],
        group_fold=group_fold,
        source_fold=source_fold,
    )


def _divide(
    rows: Iterable[Row], splits: Iterable[Split], scheme: Scheme, held_out: Collection[int | str]
) -> tuple[list[Row], list[Row]]:
    # By hash, so that a renamed picture is found; by source, as two of them may have one picture.
    known = {(split.sha256, split.source): split for split in splits}
    values = {getattr(split, scheme) for split in known.values()}
    if unknown := [value for value in held_out if value not in values]:
        raise UsageError(
            f"no picture has {scheme} {unknown[0]!r}; there are {sorted(values, key=str)}"
        )
    kept: list[Row] = []
    held: list[Row] = []
    for row in rows:
        split = known.get((row.sha256, row.source))
        if split is None:
            raise ManifestError(
                f"{row.file} of source {row.source!r} is not in the split file;"
                " make the splits again"
            )
        if split.group != row.group:
            raise ManifestError(
                f"{row.file} is in group {row.group!r}, the split file says {split.group!r};"
                " make the splits again"
            )
        (held if getattr(split, scheme) in held_out else kept).append(row)
    return kept, held
