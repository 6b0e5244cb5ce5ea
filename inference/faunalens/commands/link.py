"""`faunalens link`: the same photo in several adverts."""

import shutil
import sys
from datetime import datetime
from pathlib import Path

import click
from tqdm import tqdm

from faunalens.commands.indexed import index_options
from faunalens.cores import available_cores
from faunalens.errors import FileError
from faunalens.linking.clusters import Cluster, clusters_of, join, shared, ties
from faunalens.linking.index import PhotoIndex
from faunalens.linking.match import are_copies
from faunalens.linking.page import Page, render
from faunalens.linking.tables import group_by, lost_lines, summary_lines, write_clusters, write_ties
from faunalens.output import read_results
from faunalens.record import Record
from faunalens.report_page import check_target, write


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--by",
    help="What photos tie together: ad, folder, source, or a column of the table of adverts such "
    "as the seller. By default ad, or source where no photo has an advert.",
)
@click.option(
    "--at-least",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Different values of --by that a cluster must have.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of the clusters, a row per photo; by default beside RESULTS, with the suffix "
    ".clusters.csv.",
)
@click.option(
    "--ties",
    "ties_out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also a CSV of the pairs that share photos, such as two sellers.",
)
@click.option("--no-html", is_flag=True, help="No page with pictures beside the CSV.")
@index_options
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--quiet", is_flag=True, help="No progress and no warnings on stderr.")
def link(
    results: Path,
    by: str | None,
    at_least: int,
    out: Path | None,
    ties_out: Path | None,
    no_html: bool,
    folder: Path | None,
    model_path: Path | None,
    workers: int | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Find the same photo, edited or not, in different adverts of RESULTS.

    RESULTS are of `faunalens scan`, a file or a folder of parts; the photos must still be where
    they were, and are read once. Copies are found after slight cropping, resizing, saving again,
    mirroring and writing on them. Needs the extra: pip install 'faunalens[link]'.
    """
    out = out or results.with_suffix(".clusters.csv")
    page = None if no_html else out.with_suffix(".html")
    for target in (out, ties_out):
        if target and target.exists() and (target.samefile(results) or not overwrite):
            raise FileError(f"{target} exists; choose another name or use --overwrite")
    if page:
        check_target(page, results, overwrite=overwrite)
    by, example = _by(results, by)
    group_of = group_by(by, example)
    index = PhotoIndex.of_results(
        results, folder, model_path, threads=workers or available_cores(), quiet=quiet
    )
    for line in () if quiet else lost_lines(index.rows):
        click.echo(line, err=True)
    links = join(len(index.store), (p.where(are_copies(p)) for p in index.neighbours.of_all()))
    wanted = shared(index.rows.fingerprint, links.component)
    clusters = clusters_of(
        index.records(wanted), index.rows.fingerprint, links, group_of, at_least=at_least
    )
    pairs = ties(clusters) if by != "source" else []
    write_clusters(out, clusters, by)
    if ties_out:
        write_ties(ties_out, pairs, by)
    if page:
        _write_page(page, results, clusters, pairs, by, quiet)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in summary_lines(clusters, pairs, by, width):
        click.echo(line)
    click.echo(f"\nClusters: {out}" + (f"\nWith pictures: {page}" if page else ""))
    click.echo("The same photo is a lead, not proof: sellers also copy from shops and each other.")


def _by(results: Path, by: str | None) -> tuple[str, Record]:
    """The column to go by, and a record to see that it is there."""
    example = None
    for record in read_results(results):
        example = example or record
        if by is not None or record.ad is not None:
            return by or "ad", record
    if example is None:
        raise FileError(f"no photos in {results}; expected results of `faunalens scan`")
    return by or "source", example


def _write_page(
    out: Path,
    results: Path,
    clusters: list[Cluster],
    pairs: list[tuple[str, str, int]],
    by: str,
    quiet: bool,
) -> None:
    page = Page(results, by, datetime.now().astimezone(), clusters, pairs)
    hidden = True if quiet else None
    write(render(page, lambda some: tqdm(some, "drawing", unit=" clusters", disable=hidden)), out)
