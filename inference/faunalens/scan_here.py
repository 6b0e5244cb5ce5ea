"""A scan on this machine, from what the user named to results and a summary."""

import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click

from faunalens.batch import judge_items
from faunalens.batch_worker import Settings
from faunalens.dedupe import Seen
from faunalens.errors import FaunalensError
from faunalens.inputs import Inputs
from faunalens.inputs_fetch import FetchOptions
from faunalens.inputs_item import Item
from faunalens.inputs_remote import Remote
from faunalens.inputs_table import Columns
from faunalens.load import loaded
from faunalens.model import Model
from faunalens.output import open_output
from faunalens.output_target import Form
from faunalens.progress import Progress
from faunalens.record import Record
from faunalens.resume import not_done

EXIT_STOPPED = 130  # as a shell says of a program ended by Ctrl-C
_FETCHES = 32  # photos fetched at once, over all hosts


def scan_here(
    paths: Sequence[str],
    out: Path | None,
    form: Form,
    model: Model,
    settings: Settings,
    *,
    columns: Columns,
    fetch: FetchOptions,
    dedupe: bool,
    workers: int,
    time_limit_s: float,
    overwrite: bool,
    resume: bool,
    part_rows: int,
    quiet: bool,
    log: Path | None,
    counts: Counter[str],
) -> None:
    """Find, load, judge and write, each a little ahead of the next.

    Args:
        paths: See `Inputs.find`.
        columns: Of tables of adverts.
        fetch: How to fetch what URLs name.
        dedupe: See `Seen`.
        workers, time_limit_s: See `judge_items`.
        overwrite, resume, part_rows: See `open_output`.
        log: See `Progress`.
        counts: Gets the photos by verdict, those without one as `failed`.

    Raises:
        FaunalensError: Nothing to judge, or results that cannot be written.
    """
    with (
        Progress(counts, quiet=quiet, log=log) as progress,
        closing(Remote(replace(fetch, note=progress.note))) as remote,
        Seen() if dedupe else nullcontext() as files,
    ):
        inputs = Inputs(columns, remote)
        items, carried = first_of(inputs.find(paths), paths)
        with open_output(
            out,
            replace(form, carried=carried),
            overwrite=overwrite,
            resume=resume,
            part_rows=part_rows,
        ) as output:
            progress.note("start", {"paths": paths, "out": output.place, **form.options})
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
                workers=workers,
                time_limit_s=time_limit_s,
                note=progress.note,
            )
            for one in judged if files is None else files.settle(judged):
                output.write(one.record)
                progress.judged(one)
            output.finish()
    progress.say(progress.summary())
    if out is not None:
        progress.say([f"Results: {out}"])
        if out.is_dir() or form.kind == "jsonl":
            progress.say([f"To look at the hits: faunalens report {out}"])


def first_of(items: Iterator[Item], paths: Sequence[str]) -> tuple[Iterator[Item], list[str]]:
    """The same photos, once it is sure that there is one; and the columns it carries.

    Raises:
        FaunalensError: There is none.
    """
    first = next(items, None)
    if first is None:
        raise FaunalensError(
            f"no photos in {', '.join(paths)}; expected files such as .jpg, .png or .webp"
        )
    return chain([first], items), list(first.columns or ())


@contextmanager
def stoppable(counts: Counter[str], *, quiet: bool, resumable: bool) -> Iterator[None]:
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
