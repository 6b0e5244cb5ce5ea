"""What there is to judge, as files beside the results: one list of photos for each part."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from faunalens.errors import FailureKind, FileError, UsageError
from faunalens.inputs_item import Item
from faunalens.record import Failure

LISTS = "_lists"
"""Folder of the lists, in that of the results; readers of Parquet pass over names like it."""
_PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """The lists of a run.

    Attributes:
        parts: How many; they are numbered from 0.
        photos: In all of them.
        part_rows: Photos of each part but the last.
        carried: Columns of a table of adverts, in order of appearance.
    """

    parts: int
    photos: int
    part_rows: int
    carried: tuple[str, ...] = ()

    def rows(self, number: int) -> int:
        """Photos of a part."""
        return min(self.part_rows, self.photos - number * self.part_rows)


def make_plan(out: Path, items: Iterable[Item], part_rows: int) -> Plan:
    """Write the lists; what an earlier, unfinished attempt has left is removed.

    Args:
        items: Photos that workers can read themselves, by path.
        part_rows: Photos of a part.

    Raises:
        UsageError: A photo's bytes came with it, such as from an archive.
        FileError: The lists cannot be written.
    """
    folder = out / LISTS
    carried: dict[str, None] = {}
    photos = parts = 0
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        iterator = iter(items)
        while chunk := list(islice(iterator, part_rows)):
            with _list_file(out, parts).open("w", encoding="ascii") as handle:
                for item in chunk:
                    carried.update(dict.fromkeys(item.columns or ()))
                    handle.write(_line(item) + "\n")
            photos += len(chunk)
            parts += 1
        plan = Plan(parts, photos, part_rows, tuple(carried))
        scratch = folder / f"{_PLAN}.tmp"
        scratch.write_text(json.dumps(asdict(plan)) + "\n", encoding="utf-8")
        os.replace(scratch, folder / _PLAN)
    except OSError as error:
        raise FileError(f"cannot write {folder}: {error.strerror}") from error
    return plan


def read_plan(out: Path) -> Plan | None:
    """The plan of an earlier run; None if it did not come to have one."""
    try:
        raw = json.loads((out / LISTS / _PLAN).read_text(encoding="utf-8"))
        return Plan(raw["parts"], raw["photos"], raw["part_rows"], tuple(raw["carried"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_list(out: Path, number: int) -> Iterator[Item]:
    """The photos of a part, in order.

    Raises:
        FileError: The list is gone or damaged.
    """
    path = _list_file(out, number)
    try:
        with path.open(encoding="ascii") as lines:
            for line in lines:
                raw = json.loads(line)
                failure = raw["failure"]
                yield Item(
                    raw["source"],
                    ad=raw["ad"],
                    columns=raw["columns"],
                    failure=failure and Failure(FailureKind(failure["kind"]), failure["message"]),
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"cannot read the list of photos {path}: {error}; do all machines see this folder?"
        ) from error


def part_name(number: int, kind: str) -> str:
    """File name of a part, such as `part-00012.parquet`."""
    return f"part-{number:05}.{kind}"


def _list_file(out: Path, number: int) -> Path:
    return out / LISTS / f"{number:05}.jsonl"


def _line(item: Item) -> str:
    if item.data is not None or item.load is not None:
        raise UsageError(
            f"{item.source}: with --engine ray photos must be files that every machine can read, "
            "not URLs or members of an archive; fetch or unpack them first"
        )
    failure = item.failure and {"kind": str(item.failure.kind), "message": item.failure.message}
    raw = {"source": item.source, "ad": item.ad, "columns": item.columns, "failure": failure}
    return json.dumps(raw, default=str)
