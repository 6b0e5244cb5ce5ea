"""`faunalens scan`: photos in, records out."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import click

from faunalens.batch import MEMORY_MB, TIME_LIMIT_S, judge_items
from faunalens.batch_worker import Settings
from faunalens.cores import available_cores
from faunalens.decide import Look, Policy, load_overrides, policy
from faunalens.dedupe import Seen
from faunalens.errors import FaunalensError, UsageError
from faunalens.inputs import Inputs
from faunalens.inputs_fetch import FetchOptions
from faunalens.inputs_item import Item
from faunalens.inputs_remote import Remote
from faunalens.inputs_table import Columns
from faunalens.load import loaded
from faunalens.model import Model
from faunalens.output import Form, open_output, read_results
from faunalens.output_formats import FORMATS, format_for
from faunalens.progress import Progress
from faunalens.record import Record
from faunalens.resume import not_done
from faunalens.rollup import by_ad as roll_up

EXIT_SOME_FAILED = 3
_FETCHES = 32  # photos fetched at once, over all hosts
EXIT_STOPPED = 130  # as a shell says of a program ended by Ctrl-C

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
    kind = format_for(out, kind)
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
    with (
        Progress(quiet=quiet, log=log) as progress,
        closing(
            Remote(FetchOptions(per_host, fetch_timeout, private=allow_private, note=progress.note))
        ) as remote,
        _stoppable(progress, resumable=out is not None),
        Seen() if dedupe else nullcontext() as files,
    ):
        inputs = Inputs(Columns(image_column, ad_column), remote)
        items, carried = _first(inputs.find(paths), paths)
        form = Form(kind, model.spec.labels, options, carried, embeddings)
        with open_output(
            out, form, overwrite=overwrite, resume=resume, part_rows=part_rows
        ) as output:
            progress.note("start", {"paths": paths, "out": output.place, **options})
            progress.count(lambda: inputs.count(paths))

            def seen(record: Record) -> None:
                progress.seen(record)
                if files is not None:
                    files.remember(record)

            todo = loaded(not_done(items, output.done(), seen), threads=_FETCHES)
            judged = judge_items(
                todo if files is None else files.mark(todo),
                model,
                settings,
                workers=available_cores() if workers is None else workers,
                time_limit_s=photo_timeout,
                note=progress.note,
            )
            for one in judged if files is None else files.settle(judged):
                output.write(one.record)
                progress.judged(one)
            output.finish()
        if by_ad is not None and out is not None:
            progress.ads = roll_up(read_results(out), by_ad)
    progress.say(progress.summary())
    if out is not None:
        progress.say([f"Results: {out}"])
        if by_ad is not None:
            progress.say([f"{progress.ads} adverts: {by_ad}"])
        if kind == "jsonl" and out.is_file():
            progress.say([f"To look at the hits: faunalens report {out}"])
    if progress.counts["failed"]:
        sys.exit(EXIT_SOME_FAILED)


def _rules(rules: Policy) -> dict[str, Any]:
    raw = asdict(rules)
    return {name: raw[name] for name in ("look", "labels", "thresholds", "families")}


def _first(items: Iterator[Item], paths: tuple[str, ...]) -> tuple[Iterator[Item], list[str]]:
    """The same photos, once it is sure that there is one; and the columns it carries."""
    first = next(items, None)
    if first is None:
        raise FaunalensError(
            f"no photos in {', '.join(paths)}; expected files such as .jpg, .png or .webp"
        )
    return chain([first], items), list(first.columns or ())


@contextmanager
def _stoppable(progress: Progress, *, resumable: bool) -> Iterator[None]:
    """Ctrl-C and a request to end (SIGTERM) stop cleanly, and say how to go on."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        how = "; use the same command with --resume to go on" if resumable else ""
        progress.say([f"\nStopped after {progress.counts.total()} photos{how}."])
        sys.exit(EXIT_STOPPED)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
