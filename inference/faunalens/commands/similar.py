"""`faunalens similar`: where else one photo occurs."""

import json
import shutil
import sys
from pathlib import Path

import click

from faunalens.commands.indexed import index_options
from faunalens.cores import available_cores
from faunalens.decode import read_file
from faunalens.errors import FileError, PhotoError
from faunalens.fragments import visible
from faunalens.linking.index import PhotoIndex
from faunalens.linking.lookup import Found, look_up
from faunalens.linking.tables import lost_lines
from faunalens.report import table_lines

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.argument("query", type=_FILE)
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Photos to list at most: copies first, then what looks most alike.",
)
@click.option("--copies-only", is_flag=True, help="Leave out what only looks alike.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")
@index_options
@click.option("--quiet", is_flag=True, help="No progress and no warnings on stderr.")
def similar(
    results: Path,
    query: Path,
    top: int,
    copies_only: bool,
    as_json: bool,
    folder: Path | None,
    model_path: Path | None,
    workers: int | None,
    quiet: bool,
) -> None:
    """Find the photo QUERY among the photos of RESULTS: the same file, edited copies, and what
    looks alike.

    The first call reads the photos of RESULTS, later ones only the index made of them.
    Needs the extra: pip install 'faunalens[link]'.
    """
    index = PhotoIndex.of_results(
        results, folder, model_path, threads=workers or available_cores(), quiet=quiet
    )
    for line in () if quiet else lost_lines(index.rows):
        click.echo(line, err=True)
    try:
        found = look_up(index, read_file(query), top=top, copies_only=copies_only)
    except PhotoError as error:
        raise FileError(f"cannot look for {query}: {error}") from error
    if as_json:
        for one in found:
            click.echo(json.dumps(one.to_dict()))
        return
    copies = sum(one.is_copy for one in found)
    click.echo(f"{copies:,} copies of {visible(str(query))}, {len(found) - copies:,} look alike")
    if found:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in table_lines(
            [Found.HEADER, *(one.row() for one in found)], right={1, 2}, width=width
        ):
            click.echo(line)
