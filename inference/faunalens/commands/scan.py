"""`faunalens scan`: photos in, records out."""

import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import click

from faunalens.batch import MEMORY_MB, TIME_LIMIT_S, judge_items
from faunalens.batch_worker import Settings
from faunalens.cores import available_cores
from faunalens.decide import Look, Policy, load_overrides, policy
from faunalens.errors import FaunalensError, UsageError
from faunalens.inputs import Item, find_photos
from faunalens.model import Model
from faunalens.output import Form, open_output
from faunalens.output_formats import FORMATS, format_for
from faunalens.progress import Progress
from faunalens.resume import not_done

EXIT_SOME_FAILED = 3
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
    embeddings: bool,
    workers: int | None,
    photo_timeout: float,
    photo_memory: int,
    labels: str | None,
    thresholds: Path | None,
    model_path: Path | None,
    second_look: bool,
    first_only: bool,
    log: Path | None,
    engine: str,
    ray_address: str | None,
    quiet: bool,
) -> None:
    """Judge every photo in PATHS (folders, files, globs): one record each, in order.

    A run that was stopped, in whatever way, goes on where it was with the same command and
    --resume. Exit code 3 says that all was done but some photos could not be judged; their records
    say why.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite contradict each other; use one of them")
    if resume and out is None:
        raise UsageError("--resume needs --out: what goes to stdout cannot be continued")
    if second_look and first_only:
        raise click.UsageError("give one of --second-look and --first-only")
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
    }
    form = Form(kind, model.spec.labels, options, embedding=embeddings)
    settings = Settings(model.path, rules, embeddings=embeddings, memory_mb=photo_memory)
    if engine == "ray":
        from faunalens.cluster.scan import scan_on_cluster

        with _stoppable(counts := Counter[str](), quiet, resumable=True):
            scan_on_cluster(
                lambda: _first((Item(path) for path in find_photos(paths)), paths),
                out,
                form,
                model,
                settings,
                shipped=model_path is None,
                time_limit_s=photo_timeout,
                part_rows=part_rows,
                overwrite=overwrite,
                resume=resume,
                address=ray_address,
                workers=workers,
                quiet=quiet,
                counts=counts,
            )
        sys.exit(EXIT_SOME_FAILED if counts["failed"] else 0)
    items = _first((Item(path) for path in find_photos(paths)), paths)
    with (
        open_output(out, form, overwrite=overwrite, resume=resume, part_rows=part_rows) as output,
        Progress(quiet=quiet, log=log, count=lambda: find_photos(paths)) as progress,
        _stoppable(progress.counts, quiet, resumable=out is not None),
    ):
        progress.note("start", {"paths": paths, "out": output.place, **options})
        for one in judge_items(
            not_done(items, output.done(), progress.seen),
            model,
            settings,
            workers=available_cores() if workers is None else workers,
            time_limit_s=photo_timeout,
            note=progress.note,
        ):
            output.write(one.record)
            progress.judged(one)
        output.finish()
    progress.say(progress.summary())
    if out is not None:
        progress.say([f"Results: {out}"])
        if kind == "jsonl" and out.is_file():
            progress.say([f"To look at the hits: faunalens report {out}"])
    if progress.counts["failed"]:
        sys.exit(EXIT_SOME_FAILED)


def _rules(rules: Policy) -> dict[str, Any]:
    raw = asdict(rules)
    return {name: raw[name] for name in ("look", "labels", "thresholds", "families")}


def _first(items: Iterator[Item], paths: tuple[str, ...]) -> Iterator[Item]:
    """The same photos, once it is sure that there is one."""
    first = next(items, None)
    if first is None:
        raise FaunalensError(
            f"no photos in {', '.join(paths)}; expected files such as .jpg, .png or .webp"
        )
    return chain([first], items)


@contextmanager
def _stoppable(counts: Counter[str], quiet: bool, *, resumable: bool) -> Iterator[None]:
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
        if not quiet:
            click.echo(f"\nStopped after {counts.total()} photos{how}.", err=True)
        sys.exit(EXIT_STOPPED)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
