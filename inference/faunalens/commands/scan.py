"""`faunalens scan`: photos in, records out."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click
from tqdm import tqdm

from faunalens.batch import scan as scan_photos
from faunalens.cores import available_cores
from faunalens.decide import Look, load_overrides, policy
from faunalens.errors import FaunalensError
from faunalens.inputs import find_photos
from faunalens.model import Model
from faunalens.output import FORMATS, format_for, open_output

EXIT_SOME_FAILED = 3


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the results; stdout if not given.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="JSON lines (all fields) or CSV (flat). By default what --out ends in, else jsonl.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=None,
    show_default="the cores this process may use",
    help="Processes that judge photos; 0 for none but this one, which a photo may then crash.",
)
@click.option(
    "--labels", help="Labels or families that may decide, separated by commas; all if not given."
)
@click.option(
    "--thresholds",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file: a table per label or family, with alert and/or review.",
)
@click.option(
    "--model",
    "model_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another model file than the one that ships.",
)
@click.option(
    "--second-look",
    is_flag=True,
    help="Look closer where there is doubt: parts of the photo too, for small objects. Slower.",
)
@click.option(
    "--first-only", is_flag=True, help="Never ask the second, sharper model. Faster, finds less."
)
@click.option("--quiet", is_flag=True, help="No progress and no summary on stderr.")
def scan(
    paths: tuple[str, ...],
    out: Path | None,
    kind: str | None,
    overwrite: bool,
    workers: int | None,
    labels: str | None,
    thresholds: Path | None,
    model_path: Path | None,
    second_look: bool,
    first_only: bool,
    quiet: bool,
) -> None:
    """Judge every photo in PATHS (folders, files, globs): one record each, in order.

    Exit code 3 says that all was done but some photos could not be judged; their records say why.
    """
    if second_look and first_only:
        raise click.UsageError("give one of --second-look and --first-only")
    kind = format_for(out, kind)
    spec = Model(model_path).spec
    rules = policy(
        spec,
        labels=None
        if labels is None
        else [key.strip() for key in labels.split(",") if key.strip()],
        overrides=None if thresholds is None else load_overrides(thresholds),
        look=Look.ZOOM if second_look else Look.FIRST if first_only else None,
    )
    photos = _first(find_photos(paths), paths)
    counts: Counter[str] = Counter()
    started = time.monotonic()
    records = scan_photos(
        photos,
        model_path=model_path,
        rules=rules,
        workers=available_cores() if workers is None else workers,
    )
    with (
        open_output(out, kind, spec.labels, overwrite=overwrite) as write,
        # None: only on a terminal
        tqdm(unit=" photos", smoothing=0.05, disable=True if quiet else None) as bar,
    ):
        for record in records:
            write(record)
            counts[record.verdict or record.status] += 1
            bar.update()
            if not bar.disable:
                bar.set_postfix_str(_tally(counts), refresh=False)
    if not quiet:
        seconds = time.monotonic() - started
        total = counts.total()
        click.echo(
            f"{total} photos in {seconds:.1f} s ({total / seconds:.1f} per second): "
            f"{_tally(counts)}",
            err=True,
        )
        if out is not None:
            click.echo(f"Results: {out}\nTo look at the hits: faunalens report {out}", err=True)
    if counts["failed"]:
        sys.exit(EXIT_SOME_FAILED)


def _tally(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[key]} {key}" for key in ("alert", "review", "clear", "failed"))


def _first(photos: Iterator[str], paths: tuple[str, ...]) -> Iterator[str]:
    """The same photos, once it is sure that there is one."""
    first = next(photos, None)
    if first is None:
        raise FaunalensError(
            f"no photos in {', '.join(paths)}; expected files such as .jpg, .png or .webp"
        )
    return chain([first], photos)
