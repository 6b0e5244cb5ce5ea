"""A user's own pictures as rows: one folder per label, no manifest to write."""

from collections.abc import Iterator
from pathlib import Path

from faunalens.decode import PHOTO_SUFFIXES, decode, read_file
from faunalens.errors import PhotoError, UsageError
from faunalens_data.pictures import each
from faunalens_data.row import NEGATIVE_KINDS, ManifestError, Row, did_you_mean, known_labels


def from_folder(root: str | Path, *, progress: bool = False) -> list[Row]:
    """Make rows from `root/label/photo.jpg`.

    The name of a first-level folder says what its pictures show: a label id, several joined by `+`
    (`live_turtle+turtle_shell`), `negative` (kind `other`), or `negative_<kind>`. Folders below it
    name the source: `ivory/shop_a/1.jpg` comes from `shop_a`, `ivory/1.jpg` from `root` itself.
    Each picture is a group of its own, but copies of one file share one.

    Raises:
        ManifestError: A folder name is neither label nor kind, a photo lies outside the label
            folders or cannot be decoded, or there is no photo at all.
        UsageError: `root` is no folder.
    """
    rows = []
    for path, row in scan_folder(root, progress=progress):
        if isinstance(row, ManifestError):
            raise ManifestError(*row.problems, where=str(path))
        rows.append(row)
    return rows


def scan_folder(
    root: str | Path, *, progress: bool = False
) -> Iterator[tuple[Path, Row | ManifestError]]:
    """Yield path and row of every photo, or what is wrong with a photo or a folder.

    Faulty folder names come first, then the photos in the order of their paths.

    Raises:
        UsageError: `root` is no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder; expected a folder of label folders")
    photos: list[tuple[Path, _Meaning]] = []
    faults = 0
    for entry in sorted(root.iterdir()):
        if entry.name.startswith("."):
            continue
        try:
            if not entry.is_dir():
                if entry.suffix.lower() in PHOTO_SUFFIXES:
                    raise ManifestError("photo outside a label folder; move it into one")
                continue
            meaning = _meaning_of(entry.name)
        except ManifestError as error:
            faults += 1
            yield entry, error
        else:
            photos += [(path, meaning) for path in photos_below(entry)]

    def row(photo: tuple[Path, _Meaning]) -> Row | ManifestError:
        return _row(root, *photo)

    rows = each(row, photos, progress="reading" if progress else None)
    yield from zip((path for path, _ in photos), rows, strict=True)
    if not photos and not faults:
        yield (
            root,
            ManifestError(
                "no photo found; expected folders named after labels (ivory, live_snake, ...) or"
                " negative_<kind>, with photos in them"
            ),
        )


def photos_below(folder: Path) -> list[Path]:
    """Every photo in a folder and its sub-folders, by file name suffix; hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PHOTO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


_Meaning = tuple[tuple[str, ...], str | None]
"""Labels and negative kind of a folder."""


def _meaning_of(name: str) -> _Meaning:
    if name == "negative":
        return (), "other"
    kind = name.removeprefix("negative_")
    if kind in NEGATIVE_KINDS and kind != name:
        return (), kind
    labels = name.split("+")
    unknown = [label for label in labels if label not in known_labels()]
    if not unknown:
        # The order of the label list, whatever the order in the folder's name.
        return tuple(sorted(set(labels), key=known_labels().index)), None
    negatives = ["negative", *(f"negative_{kind}" for kind in NEGATIVE_KINDS)]
    hint = did_you_mean(unknown[0], [*known_labels(), *negatives])
    raise ManifestError(
        f"folder name {name!r} is neither a label nor negative_<kind>"
        f"{hint or '; labels are ' + ', '.join(known_labels())}"
    )


def _row(root: Path, path: Path, meaning: _Meaning) -> Row | ManifestError:
    inside = path.relative_to(root)
    try:
        if not inside.as_posix().isprintable():  # a line break, or bytes that are no UTF-8
            raise ManifestError("the name has characters that cannot be printed; rename it")
        file = read_file(path)
        # The smallest scale will do: it finds a damaged file as well, and the size is the stored.
        photo = decode(file.data, at_least_px=1)
        return Row(
            file=inside.as_posix(),
            sha256=file.sha256,
            labels=meaning[0],
            negative_kind=meaning[1],
            group=file.sha256[:16],
            source="/".join(inside.parts[1:-1]).strip() or root.resolve().name.strip() or "folder",
            source_path=inside.as_posix(),
            width=photo.width,
            height=photo.height,
        )
    except PhotoError as error:
        return ManifestError(f"picture {error.kind}: {error}")
    except ManifestError as error:
        return error
