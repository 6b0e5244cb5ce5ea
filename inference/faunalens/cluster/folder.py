"""The folder of a scan on a cluster: begun, continued, finished."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from faunalens.cluster.plan import LISTS, Plan, make_plan, part_name, read_plan
from faunalens.errors import FileError, UsageError
from faunalens.inputs_item import Item
from faunalens.output_formats import is_folder
from faunalens.output_journal import lock
from faunalens.output_manifest import Manifest
from faunalens.output_target import LOCK, MANIFEST, Form


@contextmanager
def open_folder(
    out: Path | None, form: Form, *, overwrite: bool, resume: bool
) -> Iterator[Manifest]:
    """Begin or continue a folder of parts, and keep every other run out of it.

    Yields:
        Its manifest; at the end of a run, `finish` it.

    Raises:
        UsageError: It is no folder.
        FileError: It holds something else, was made otherwise, or cannot be written.
    """
    if out is None or not is_folder(out):
        raise UsageError(
            "--engine ray writes parts: give --out a folder that all machines see under one path"
        )
    try:
        out.mkdir(exist_ok=True)
        held = {path.name for path in out.iterdir()} - {LOCK}
        lock_ = lock(out / LOCK)
    except OSError as error:
        raise FileError(f"cannot write {out}: {error.strerror}") from error
    try:
        begun = None if overwrite else Manifest.read(out / MANIFEST)
        if begun is not None:
            if not resume:
                state = "exists" if begun.complete else "was begun and not finished"
                raise FileError(
                    f"{out} {state}; choose another name, or use --overwrite, or --resume"
                )
            begun.must_agree(form.options, out)
            yield begun
            return
        if held and not (overwrite and MANIFEST in held):
            raise FileError(
                f"{out} holds other files than results; give --out a new or empty folder"
            )
        _clear(out)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(form.options, version("faunalens"), now)
        manifest.write(out / MANIFEST)
        yield manifest
    finally:
        with suppress(OSError):
            os.close(lock_)
            (out / LOCK).unlink()


def plan_of(out: Path, items: Callable[[], Iterable[Item]], part_rows: int) -> Plan:
    """The plan of the run that is continued, else a new one.

    Args:
        items: Lists the photos; called only if there is no plan.
    """
    return read_plan(out) or make_plan(out, items(), part_rows)


def finish(out: Path, manifest: Manifest, plan: Plan, kind: str) -> None:
    """All parts are written: say so in the manifest, and remove what lost workers left.

    Raises:
        FileError: The manifest cannot be written.
    """
    for scratch in out.glob("_part-*.tmp"):
        scratch.unlink(missing_ok=True)
    manifest.carried = list(plan.carried)
    manifest.parts = [
        {"name": part_name(number, kind), "rows": plan.rows(number)} for number in range(plan.parts)
    ]
    manifest.complete = True
    try:
        manifest.write(out / MANIFEST)
    except OSError as error:
        raise FileError(f"cannot write {out}: {error.strerror}") from error


def _clear(out: Path) -> None:
    for pattern in ("part-*", "_part-*", f"{MANIFEST}*"):
        for path in out.glob(pattern):
            path.unlink()
    shutil.rmtree(out / LISTS, ignore_errors=True)
