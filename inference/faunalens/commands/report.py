"""`faunalens report`: results to a summary and one HTML page."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import click
from tqdm import tqdm

from faunalens.errors import FileError, ModelError
from faunalens.fragments import ENGLISH
from faunalens.labels import LANGUAGES, LabelList, load_labels
from faunalens.model import Model
from faunalens.output import read_results
from faunalens.pipeline import Classifier
from faunalens.report import ModelName, Summary, summarise, summary_lines
from faunalens.report_hits import Hit, look_again, made_by
from faunalens.report_page import Setting, check_target, render, write
from faunalens.report_reuse import read_reuse

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The HTML page; by default beside RESULTS, with the suffix .html.",
)
@click.option("--no-html", is_flag=True, help="Only the summary, no page.")
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=200,
    show_default=True,
    help="How many hits to show, the strongest first.",
)
@click.option(
    "--labels-language",
    "language",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    help="Language of label names, checks and look-alikes.",
)
@click.option(
    "--model",
    "model_path",
    type=_FILE,
    help="The model file that made RESULTS, if it is not the one that ships.",
)
@click.option(
    "--clusters",
    type=_FILE,
    help="CSV of `faunalens link`: hits then say where else their photo occurs.",
)
@click.option("--quiet", is_flag=True, help="No progress and no warnings on stderr.")
@click.option("--overwrite", is_flag=True, help="Replace --out even if it is not a report.")
def report(
    results: Path,
    out: Path | None,
    no_html: bool,
    top: int,
    language: str,
    model_path: Path | None,
    clusters: Path | None,
    quiet: bool,
    overwrite: bool,
) -> None:
    """Summarise RESULTS (file or folder of `faunalens scan`), and draw the hits on one HTML page.

    The page shows each photo with the evidence marked, what the law says and what to check. It is
    one file that makes no request; it holds pictures of the hits, so treat it like them.
    """
    if no_html and (out or model_path or clusters):
        raise click.UsageError("--no-html makes no page: leave out --out, --model and --clusters")
    labels = load_labels()
    page = out or results.with_suffix(".html")
    if not no_html:
        check_target(page, results, overwrite=overwrite)
    reuse = read_reuse(clusters) if clusters else {}
    summary = summarise(read_results(results), top=top)
    if not summary.photos:
        raise FileError(f"no photos in {results}; expected results of `faunalens scan`")
    # Piped into a file or another program, paths stay whole.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in summary_lines(summary, labels, language, width=width, with_page=not no_html):
        click.echo(line)
    click.echo()
    if not no_html:
        _write_page(summary, results, page, model_path, labels, language, reuse, quiet)
        click.echo(f"Page with all {len(summary.hits):,} hits shown here: {page}")
    click.echo(f"A hit is a lead, not proof. {ENGLISH.cannot_show}")


def _write_page(
    summary: Summary,
    results: Path,
    page: Path,
    model_path: Path | None,
    labels: LabelList,
    language: str,
    reuse: Mapping[str, str],
    quiet: bool,
) -> None:
    classifier: Classifier | None = None
    warnings: list[str] = []
    if summary.hits:
        try:
            classifier = Classifier(Model(model_path))
        except ModelError as error:
            if model_path is not None:
                raise
            # Without a model the page still shows the photos, the law and the checks.
            warnings.append(f"Where the evidence lies is not drawn: {error}.")
    if classifier and not all(made_by(hit, classifier) for hit in summary.hits):
        other = next(hit for hit in summary.hits if not made_by(hit, classifier))
        warnings.append(
            "Where the evidence lies is drawn only for hits of the model at hand, "
            f"{ModelName.of(classifier.model.identity)}; others were found by another, "
            f"{ModelName.of(other.model)}. Name that model's file with --model to see its evidence."
        )
    if not quiet:
        for warning in warnings:
            click.echo(f"Warning: {warning}", err=True)

    def progress() -> Iterator[Hit]:
        hits = look_again(summary.hits, classifier, beside=results.parent)
        # disable=None: a bar only on a terminal
        yield from tqdm(
            hits, "drawing", len(summary.hits), unit=" hits", disable=True if quiet else None
        )

    setting = Setting(
        results=results.name,
        made=datetime.now().astimezone(),
        labels=labels,
        language=language,
        warnings=tuple(warnings),
        reuse=reuse,
    )
    write(render(summary, progress(), setting), page)
