"""`faunalens-data`: check, dedupe, split and describe a data set.

Exit codes: 0 done, 1 could not run or faults found, 2 wrong usage.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from faunalens.cli import ErrorGroup
from faunalens.errors import FaunalensError

if TYPE_CHECKING:
    from faunalens_data.manifest import DataSet

# Everything else is imported inside the commands, so that --help answers at once.

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


def _source(command: _Command) -> _Command:
    """The argument and the option of every command: the data set, and where its pictures are."""
    command = click.option(
        "--images",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder with the pictures of a manifest.  [default: images/ beside it, or its own]",
    )(command)
    return click.argument("path", type=click.Path(exists=True, path_type=Path))(command)


def _overrides(command: _Command) -> _Command:
    return click.option(
        "--overrides",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Corrections to apply first: sha256,action,labels,negative_kind,reason. "
        "A file with that line alone applies none.  [default: those of the package]",
    )(command)


def _overwrite(command: _Command) -> _Command:
    return click.option("--overwrite", is_flag=True, help="Write over what is there.")(command)


@click.group(cls=ErrorGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="faunalens")
def main() -> None:
    """Check, de-duplicate, split and describe a set of labelled pictures.

    PATH is a manifest.csv, or a folder of folders named after labels (ivory, live_snake, ...) and
    negatives (negative, negative_goods, ...).
    """


@main.command()
@_source
def check(path: Path, images: Path | None) -> None:
    """List every fault of a data set; exit 1 if there is one, 0 with warnings only."""
    from faunalens_data.check import check_dataset
    from faunalens_data.table import aligned, amount

    result = check_dataset(path, images=images, progress=True)
    if result.faults:
        rows = [
            (
                fault.line or "-",
                "warning" if fault.is_warning else "fault",
                fault.file or "-",
                fault.message,
            )
            for fault in result.faults
        ]
        click.echo(aligned(("line", "", "file", "what is wrong"), rows))
        click.echo()
    numbers = {"picture": result.pictures, "fault": result.errors, "warning": result.warnings}
    click.echo(", ".join(amount(number, noun) for noun, number in numbers.items()))
    if result.errors:
        raise SystemExit(1)


@main.command()
@_source
@click.option("--out", type=_FILE, required=True, help="Manifest to write, groups joined.")
@click.option("--pairs", type=_FILE, help="CSV of the pairs.  [default: OUT with _pairs.csv]")
@click.option(
    "--distance",
    type=click.IntRange(0, 64),
    help="Differing hash bits, of 64, up to which pictures are compared closely.  [default: 10]",
)
@_overrides
@_overwrite
def dedupe(
    path: Path,
    images: Path | None,
    out: Path,
    pairs: Path | None,
    distance: int | None,
    overrides: Path | None,
    overwrite: bool,
) -> None:
    """Put copies of one picture (resized, saved again, mirrored) into one group."""
    from faunalens_data.dedupe import DEFAULT_DISTANCE, find_pairs, join_groups, write_pairs
    from faunalens_data.files import refuse_overwrite
    from faunalens_data.manifest import images_beside, write_manifest
    from faunalens_data.table import amount

    pairs = pairs or out.with_name(f"{out.stem}_pairs.csv")
    refuse_overwrite(out, overwrite)
    refuse_overwrite(pairs, overwrite)
    rows, folder = _load(path, images, overrides)
    if distance is None:
        distance = DEFAULT_DISTANCE
    found = find_pairs(rows, folder, distance=distance, progress=True)
    joined = join_groups(rows, found)
    write_pairs(pairs, rows, found)
    write_manifest(out, joined)
    before, after = (len({row.group for row in some}) for some in (rows, joined))
    mirrored = sum(pair.mirrored for pair in found)
    click.echo(
        f"{amount(len(rows), 'picture')}: {amount(len(found), 'pair')} of copies"
        f" ({mirrored} mirrored), {amount(before, 'group')} became {after:,}"
    )
    click.echo(f"wrote {out} and {pairs}", err=True)
    if images_beside(out).resolve() != folder.resolve():
        click.echo(f"the pictures are not beside {out}: give it with --images {folder}", err=True)


@main.command()
@_source
@click.option("--out", type=_FILE, required=True, help="Split file to write.")
@click.option("--val", default=0.15, show_default=True, help="Share for validation.")
@click.option("--test", default=0.15, show_default=True, help="Share for the test.")
@click.option("--folds", default=5, show_default=True, help="Number of folds.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another split.")
@_overrides
@_overwrite
def split(
    path: Path,
    images: Path | None,
    out: Path,
    val: float,
    test: float,
    folds: int,
    seed: int,
    overrides: Path | None,
    overwrite: bool,
) -> None:
    """Deal the pictures to parts and folds: whole groups, and whole sources."""
    from faunalens_data.counts import count_strata, cross_table
    from faunalens_data.files import refuse_overwrite
    from faunalens_data.split import Scheme, make_splits, write_splits
    from faunalens_data.table import aligned

    refuse_overwrite(out, overwrite)
    rows, _ = _load(path, images, overrides)
    splits = make_splits(rows, val=val, test=test, folds=folds, seed=seed)
    write_splits(out, splits)
    columns: tuple[tuple[Scheme, str], ...] = (("part", "{}"), ("source_fold", "source fold {}"))
    for scheme, heading in columns:
        values, table = cross_table(rows, splits, scheme)
        click.echo(aligned(["", *map(heading.format, values), "all"], table))
        click.echo()
    sources = len({row.source for row in rows})
    if sources < folds:
        click.echo(f"Warning: {sources} sources for {folds} source folds; some are empty", err=True)
    for stratum in count_strata(rows):
        if stratum.sources == 1 and not stratum.is_negative and sources > 1:
            click.echo(
                f"Warning: every {stratum.name} is from {stratum.largest_source}; held out by"
                " source, there is none left to learn from",
                err=True,
            )
    click.echo(f"wrote {out}", err=True)


@main.command()
@_source
@click.option("--out", type=_FOLDER, required=True, help="Folder for DATA_CARD.md and its plots.")
@click.option("--name", help="What the card calls the data set.  [default: name of its folder]")
@click.option(
    "--contact-sheet",
    is_flag=True,
    help="Also write a sheet of sample pictures. It has their rights: never publish it.",
)
@_overrides
@_overwrite
def card(
    path: Path,
    images: Path | None,
    out: Path,
    name: str | None,
    contact_sheet: bool,
    overrides: Path | None,
    overwrite: bool,
) -> None:
    """Write a data card: counts, sources, rights, sizes and known limits, with plots."""
    from datetime import date

    from faunalens_data.card import write_card
    from faunalens_data.files import refuse_overwrite

    if contact_sheet:
        from faunalens_data.sheet import CONTACT_SHEET, write_contact_sheet

        refuse_overwrite(out / CONTACT_SHEET, overwrite)
    rows, folder = _load(path, images, overrides)
    if name is None:
        name = (path if path.is_dir() else path.parent).resolve().name or "pictures"
    written = write_card(rows, out, name=name, day=date.today(), overwrite=overwrite)
    click.echo("\n".join(map(str, written)))
    if contact_sheet:
        write_contact_sheet(out / CONTACT_SHEET, rows, folder)
        click.echo(out / CONTACT_SHEET)
        click.echo(
            f"Warning: {CONTACT_SHEET} shows pictures of the data set; do not publish it", err=True
        )


def _load(path: Path, images: Path | None, overrides: Path | None) -> "DataSet":
    from faunalens_data.manifest import DataSet, apply_overrides, load_rows
    from faunalens_data.overrides import SHIPPED_OVERRIDES

    overrides = overrides or SHIPPED_OVERRIDES
    rows, folder = load_rows(path, images=images, progress=True)
    rows = apply_overrides(rows, overrides)
    if not rows:
        raise FaunalensError(f"{overrides} drops every picture; nothing is left to work on")
    return DataSet(rows, folder)


@main.command("from-verdicts")
@click.argument("store")
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the kept photos: that of `faunalens serve --keep-photos`.",
)
@click.option("--out", type=_FILE, required=True, help="Manifest to write.")
@_overwrite
def from_verdicts(store: str, photos: Path, out: Path, overwrite: bool) -> None:
    """Turn officers' decisions into manifest rows for the next training.

    STORE is the URL of the database: that of `faunalens serve --store`, or a SQLite file.
    """
    from faunalens.decisions import Store
    from faunalens_data.files import refuse_overwrite
    from faunalens_data.manifest import write_manifest
    from faunalens_data.table import amount
    from faunalens_data.verdicts import rows_from_verdicts

    refuse_overwrite(out, overwrite)
    if "://" not in store and not Path(store).is_file():
        raise FaunalensError(f"no database at {store}; expected a SQLite file or a database URL")
    opened = Store(store if "://" in store else f"sqlite:///{store}")
    taken = rows_from_verdicts(opened.decisions(), photos)
    for reason, count in taken.left_out.most_common():
        click.echo(f"left out, {reason}: {amount(count, 'photo')}", err=True)
    if not taken.rows:
        raise FaunalensError("no decision gave a row; see the reasons above")
    write_manifest(out, taken.rows)
    click.echo(f"wrote {out}: {amount(len(taken.rows), 'picture')}", err=True)
    click.echo(f"check it with: faunalens-data check {out} --images {photos}", err=True)
