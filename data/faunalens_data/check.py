"""Everything wrong with a data set, each fault with its line, before any training sees it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faunalens.decode import decode, read_file
from faunalens.errors import FailureKind, PhotoError, UsageError
from faunalens_data.folder import photos_below, scan_folder
from faunalens_data.manifest import find_manifest, images_beside, scan_manifest
from faunalens_data.pictures import each
from faunalens_data.row import ManifestError, Row

_Placed = tuple[int | None, Row]
"""A row and its line in the manifest; a folder of label folders has no lines."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, or looks wrong.

    Attributes:
        line: Line of the manifest, from 1; None if it is not about a line.
        file: The picture or file it is about; empty if that is unknown.
        message: What was expected, what was found, what to do.
        is_warning: Whether one may train all the same.
    """

    line: int | None
    file: str
    message: str
    is_warning: bool = False


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        pictures: Number of rows that could be understood.
        faults: All faults and warnings, by line; those without a line come last.
    """

    pictures: int
    faults: tuple[Fault, ...]

    @property
    def errors(self) -> int:
        """Number of faults that are no mere warnings."""
        return sum(not fault.is_warning for fault in self.faults)

    @property
    def warnings(self) -> int:
        """Number of warnings."""
        return len(self.faults) - self.errors


def check_dataset(
    path: str | Path, *, images: str | Path | None = None, progress: bool = False
) -> CheckResult:
    """Look at every row and every picture of a data set.

    Args:
        path: A manifest, a folder with a `manifest.csv` in it, or a folder of label folders.
        images: Where the pictures of a manifest are, if not beside it (see `load_rows`).
        progress: Show a bar on stderr, if that is a terminal.

    Raises:
        UsageError: There is nothing at `path`, or `images` is no folder.
    """
    manifest = find_manifest(path)
    if images is not None and not Path(images).is_dir():
        raise UsageError(f"{images} is not a folder; expected the one with the pictures")
    rows: list[_Placed] = []
    faults: list[Fault] = []
    if manifest is None:
        root = Path(path)
        for photo, row in scan_folder(root, progress=progress):
            if isinstance(row, ManifestError):
                name = photo.relative_to(root).as_posix()
                faults += [Fault(None, name, problem) for problem in row.problems]
            else:
                rows.append((None, row))
    else:
        root = Path(images) if images is not None else images_beside(manifest)
        try:
            for line, row in scan_manifest(manifest):
                if isinstance(row, ManifestError):
                    faults += [Fault(line, row.file, problem) for problem in row.problems]
                else:
                    rows.append((line, row))
            if not rows and not faults:
                faults.append(Fault(None, manifest.name, "the manifest has no rows"))
        except ManifestError as error:
            faults += [Fault(error.line, manifest.name, problem) for problem in error.problems]
        else:
            # Only of a table read to its end can one say what is not in it.
            faults += _not_named({row.file for _, row in rows}, faults, root)
        faults += _pictures(rows, root, progress)
    faults += _duplicates(rows)
    faults += _groups(rows)
    faults.sort(key=lambda fault: (fault.line is None, fault.line or 0))
    return CheckResult(len(rows), tuple(faults))


def _pictures(rows: Sequence[_Placed], root: Path, progress: bool) -> Iterator[Fault]:
    """Files that are missing, damaged, or other than the manifest says."""

    def look(placed: _Placed) -> list[str]:
        row = placed[1]
        try:
            file = read_file(root / row.file)
        except PhotoError as error:
            hint = f"; looked in {root}" if error.kind is FailureKind.MISSING else ""
            return [f"picture {error.kind}: {error}{hint}"]
        problems = []
        if file.sha256 != row.sha256:
            problems.append(f"hash mismatch: the manifest says {row.sha256}, it is {file.sha256}")
        try:
            photo = decode(file.data, at_least_px=1)
        except PhotoError as error:
            return [*problems, f"picture {error.kind}: {error}"]
        said = (row.width or photo.width, row.height or photo.height)
        if said != (photo.width, photo.height):
            problems.append(
                f"size mismatch: the manifest says {said[0]} x {said[1]},"
                f" it is {photo.width} x {photo.height}"
            )
        return problems

    found = each(look, rows, progress="checking" if progress else None)
    for (line, row), problems in zip(rows, found, strict=True):
        for problem in problems:
            yield Fault(line, row.file, problem)


def _duplicates(rows: Sequence[_Placed]) -> Iterator[Fault]:
    first: dict[tuple[str, str], _Placed] = {}
    for line, row in rows:
        for column in ("file", "sha256"):
            before_line, before = first.setdefault((column, getattr(row, column)), (line, row))
            if before is not row:
                where = f"in line {before_line}" if before_line else f"as {before.file}"
                yield Fault(line, row.file, f"duplicate {column}: already {where}; keep one")


def _groups(rows: Sequence[_Placed]) -> Iterator[Fault]:
    """Groups that span sources, or whose pictures cannot all show one object."""
    groups: dict[str, list[_Placed]] = defaultdict(list)
    for placed in rows:
        groups[placed[1].group].append(placed)
    for name, members in groups.items():
        line, first = members[0]
        sources = sorted({row.source for _, row in members})
        if len(sources) > 1:
            message = f"group {name} spans {len(sources)} sources: {', '.join(sources)}"
            yield Fault(line, first.file, message, is_warning=True)
        # A crop shows a part: turtle_shell cut from a live_turtle is no contradiction.
        whole = [(line, row) for line, row in members if row.photo_kind != "crop"] or members
        line, first = whole[0]
        for other_line, other in whole[1:]:
            if first.is_negative and other.is_negative:
                continue
            if not set(first.labels) & set(other.labels):
                yield Fault(
                    other_line,
                    other.file,
                    f"group {name} contradicts itself: {' '.join(other.strata)} here,"
                    f" {' '.join(first.strata)} in {f'line {line}' if line else first.file}",
                    is_warning=True,
                )


def _not_named(named: set[str], faults: Sequence[Fault], root: Path) -> list[Fault]:
    named = named | {fault.file for fault in faults}  # a faulty row names its picture too
    return [
        Fault(None, name, "picture is not in the manifest", is_warning=True)
        for name in (path.relative_to(root).as_posix() for path in photos_below(root))
        if name not in named
    ]
