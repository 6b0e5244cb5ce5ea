"""`faunalens scan --engine ray`: list, judge on the cluster, finish."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import click
from tqdm import tqdm

from faunalens.batch_worker import Settings
from faunalens.cluster.folder import finish, open_folder, plan_of
from faunalens.cluster.part import Job
from faunalens.cluster.plan import part_name
from faunalens.cluster.run import Done, judge_parts
from faunalens.errors import UsageError
from faunalens.inputs_item import Item
from faunalens.model import Model
from faunalens.output_formats import pyarrow
from faunalens.output_target import Form


def scan_on_cluster(
    items: Callable[[], Iterable[Item]],
    out: Path | None,
    form: Form,
    model: Model,
    settings: Settings,
    *,
    shipped: bool,
    time_limit_s: float,
    part_rows: int,
    overwrite: bool = False,
    resume: bool = False,
    address: str | None = None,
    workers: int | None = None,
    quiet: bool = False,
    counts: Counter[str],
    done: Done = lambda number, judged, pid: None,
) -> None:
    """Judge photos on a Ray cluster, into a folder of parts in the order of the photos.

    A run that was stopped goes on with `resume`: photos and parts are then those of its lists, and
    parts that have a file are not judged again.

    Args:
        items: Lists the photos, which every machine must be able to read by path.
        shipped: Whether the model is the one that ships, so that each machine uses its own copy.
        part_rows: Photos of a part; a lost worker costs the part that it was at.
        address, workers, done: See `judge_parts`.
        counts: Gets the photos judged by this call, by verdict; those without one as `failed`.

    Raises:
        UsageError, FileError: As `open_folder` and `make_plan`.
        MissingExtraError: Ray, or for Parquet pyarrow, is not installed.
    """
    if workers == 0:
        raise UsageError("--engine ray needs at least one worker")
    if form.kind == "parquet":
        pyarrow()  # fail before the work, not after it
    started = time.monotonic()
    options = {**form.options, "engine": "ray", "part_rows": part_rows}
    form = replace(form, options=options)
    with open_folder(out, form, overwrite=overwrite, resume=resume) as manifest:
        assert out is not None  # open_folder has seen to it
        out = out.absolute()
        plan = plan_of(out, items, part_rows)
        job = Job(
            out=out,
            kind=form.kind,
            plan=plan,
            labels=form.labels,
            options=options,
            program=manifest.program,
            model=model.identity,
            model_path=None if shipped else model.path.absolute(),
            rules=settings.rules,
            embeddings=form.embedding,
            time_limit_s=time_limit_s,
            memory_mb=settings.memory_mb,
        )
        there = sum(
            plan.rows(number)
            for number in range(plan.parts)
            if (out / part_name(number, form.kind)).exists()
        )
        hidden = True if quiet else None
        with tqdm(
            total=plan.photos, initial=there, unit=" photos", smoothing=0.05, disable=hidden
        ) as bar:

            def one_done(number: int, judged: Counter[str], pid: int) -> None:
                counts.update(judged)
                bar.update(judged.total())
                bar.set_postfix_str(
                    ", ".join(f"{counts[k]} {k}" for k in ("alert", "review", "failed")),
                    refresh=False,
                )
                done(number, judged, pid)

            judge_parts(job, address=address, workers=workers, done=one_done)
        finish(out, manifest, plan, form.kind)
    if not quiet:
        seconds = time.monotonic() - started
        total = counts.total()
        click.echo(
            f"{total:,} photos in {seconds:.0f} s ({total / seconds:.1f} per second): "
            + ", ".join(f"{counts[key]:,} {key}" for key in ("alert", "review", "clear", "failed"))
            + f"\nResults: {out}",
            err=True,
        )
