"""`faunalens scan`: photos in, records out."""

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from faunalens.batch import MEMORY_MB, TIME_LIMIT_S
from faunalens.batch_worker import Settings
from faunalens.cores import available_cores
from faunalens.decide import Look, Policy, load_overrides, policy
from faunalens.errors import UsageError
from faunalens.inputs import Inputs
from faunalens.inputs_fetch import FetchOptions
from faunalens.inputs_remote import Remote
from faunalens.inputs_table import Columns
from faunalens.model import Model
from faunalens.output import read_results
from faunalens.output_formats import FORMATS, format_for
from faunalens.output_target import Form
from faunalens.rollup import by_ad as roll_up
from faunalens.scan_here import first_of, scan_here, stoppable

EXIT_SOME_FAILED = 3

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File for the results, or folder for results in parts; stdout if not given.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="JSON lines (all fields), CSV or Parquet (flat). By default what --out ends in, else "
    "jsonl. Parquet needs the extra [parquet].",
)
@click.option("--overwrite", is_flag=True, help="Replace the results if they exist.")
@click.option(
    "--resume",
    is_flag=True,
    help="Judge only what has no row in --out yet: go on with a run that was stopped, or add new "
    "photos.",
)
@click.option(
    "--part-rows",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Rows of a part, if --out is a folder.",
)
@click.option(
    "--image-column",
    help="Column of a table of adverts that holds the photos; by default the first of the usual "
    "names.",
)
@click.option("--ad-column", help="Column that holds the advert's id.")
@click.option(
    "--by-ad",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File (.jsonl, .csv, .parquet) for one row per advert: its strongest verdict, the photo "
    "that decided, the number of photos.",
)
@click.option("--dedupe", is_flag=True, help="Judge identical files once; all have their rows.")
@click.option(
    "--embeddings", is_flag=True, help="Add the embedding of each photo (see SCANNING.md)."
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=None,
    show_default="the cores this process may use",
    help="Processes that judge photos; 0 for none but this one, which a photo may then crash.",
)
@click.option(
    "--photo-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=TIME_LIMIT_S,
    show_default=True,
    help="Seconds that one photo may take.",
)
@click.option(
    "--photo-memory",
    type=click.IntRange(min=100),
    default=MEMORY_MB,
    show_default=True,
    help="Megabytes that one photo may take (Linux).",
)
@click.option(
    "--labels", help="Labels or families that may decide, separated by commas; all if not given."
)
@click.option(
    "--thresholds",
    type=_FILE,
    help="TOML file: a table per label or family, with alert and/or review.",
)
@click.option("--model", "model_path", type=_FILE, help="Another model file than the one shipped.")
@click.option(
    "--per-host",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Of photos named by URL: requests to one host at a time.",
)
@click.option(
    "--fetch-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds that fetching one photo may take, per try.",
)
@click.option(
    "--allow-private",
    is_flag=True,
    help="Also fetch from addresses of this machine and its networks.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to append events to, as JSON lines: progress, failures, restarts of workers.",
)
@click.option(
    "--second-look",
    is_flag=True,
    help="Look closer where there is doubt: parts of the photo too, for small objects. Slower.",
)
@click.option(
    "--first-only", is_flag=True, help="Never ask the second, sharper model. Faster, finds less."
)
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="Where photos are judged: here, or on a Ray cluster that sees photos and --out under the "
    "same paths (see CLUSTER.md). Needs the extra [cluster].",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Of the cluster, such as auto or ray://head:10001; by default RAY_ADDRESS, or else one of "
    "this machine's cores.",
)
@click.option("--quiet", is_flag=True, help="No progress and no summary on stderr.")
def scan(
    paths: tuple[str, ...],
    out: Path | None,
    kind: str | None,
    overwrite: bool,
    resume: bool,
    part_rows: int,
    image_column: str | None,
    ad_column: str | None,
    by_ad: Path | None,
    dedupe: bool,
    embeddings: bool,
    workers: int | None,
    photo_timeout: float,
    photo_memory: int,
    labels: str | None,
    thresholds: Path | None,
    model_path: Path | None,
    second_look: bool,
    first_only: bool,
    per_host: int,
    fetch_timeout: float,
    allow_private: bool,
    log: Path | None,
    engine: str,
    ray_address: str | None,
    quiet: bool,
) -> None:
    """Judge every photo in PATHS: one record each, in order.

    PATHS are folders, files, globs, tar and zip archives, tables of adverts (.csv, .jsonl,
    .parquet), URLs, or - for a list of paths on standard input.

    A run that was stopped, in whatever way, goes on where it was with the same command and
    --resume. Exit code 3 says that all was done but some photos could not be judged; their records
    say why.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite contradict each other; use one of them")
    if resume and out is None:
        raise UsageError("--resume needs --out: what goes to stdout cannot be continued")
    if by_ad is not None and (out is None or ad_column is None):
        raise UsageError("--by-ad needs --out and --ad-column")
    if by_ad is not None:
        format_for(by_ad, None)
    if second_look and first_only:
        raise click.UsageError("give one of --second-look and --first-only")
    if engine == "ray" and dedupe:
        raise click.UsageError("--dedupe needs --engine local")
    if ray_address and engine != "ray":
        raise click.UsageError("--ray-address needs --engine ray")
    kind = kind or "parquet" if engine == "ray" else format_for(out, kind)
    model = Model(model_path)
    rules = policy(
        model.spec,
        labels=None
        if labels is None
        else [key.strip() for key in labels.split(",") if key.strip()],
        overrides=None if thresholds is None else load_overrides(thresholds),
        look=Look.ZOOM if second_look else Look.FIRST if first_only else None,
    )
    options = {
        "model": model.identity,
        **_rules(rules),
        "format": kind,
        "embeddings": embeddings,
        "image_column": image_column,
        "ad_column": ad_column,
        "dedupe": dedupe,
    }
    settings = Settings(model.path, rules, embeddings=embeddings, memory_mb=photo_memory)
    form = Form(kind, model.spec.labels, options, embedding=embeddings)
    columns = Columns(image_column, ad_column)
    same: dict[str, Any] = {
        "overwrite": overwrite,
        "resume": resume,
        "part_rows": part_rows,
        "time_limit_s": photo_timeout,
        "quiet": quiet,
        "counts": (counts := Counter[str]()),
    }
    with stoppable(counts, quiet=quiet, resumable=out is not None):
        if engine == "ray":
            from faunalens.cluster.scan import scan_on_cluster

            scan_on_cluster(
                lambda: first_of(Inputs(columns, Remote()).find(paths), paths)[0],
                out,
                form,
                model,
                settings,
                shipped=model_path is None,
                address=ray_address,
                workers=workers,
                **same,
            )
        else:
            scan_here(
                paths,
                out,
                form,
                model,
                settings,
                columns=columns,
                fetch=FetchOptions(per_host, fetch_timeout, private=allow_private),
                dedupe=dedupe,
                workers=available_cores() if workers is None else workers,
                log=log,
                **same,
            )
        if by_ad is not None and out is not None:
            adverts = roll_up(read_results(out), by_ad)
            if not quiet:
                click.echo(f"{adverts} adverts: {by_ad}", err=True)
    if counts["failed"]:
        sys.exit(EXIT_SOME_FAILED)


def _rules(rules: Policy) -> dict[str, Any]:
    raw = asdict(rules)
    return {name: raw[name] for name in ("look", "labels", "thresholds", "families")}
