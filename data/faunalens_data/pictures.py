"""The same work on many pictures: several threads, results in order, a bar on a terminal."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from faunalens.decode import Photo, decode, read_file

THREADS = min(8, os.cpu_count() or 1)
"""Pillow and hashlib release the interpreter lock, so threads decode in parallel."""

_T = TypeVar("_T")
_Item = TypeVar("_Item")


def each(
    work: Callable[[_Item], _T], items: Sequence[_Item], *, progress: str | None = None
) -> list[_T]:
    """Do `work` on every item and return the results in the order of the items.

    Args:
        work: Called from several threads at once.
        items: Whatever `work` takes.
        progress: Name of the bar on stderr, if that is a terminal; None for no bar.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        results: Iterable[_T] = pool.map(work, items)
        # disable=None lets tqdm look whether stderr is a terminal.
        hidden = True if progress is None else None
        return list(tqdm(results, total=len(items), desc=progress, disable=hidden, leave=False))


def open_picture(path: Path, at_least_px: int | None = None) -> Photo:
    """Read and decode one picture; PhotoError as in `faunalens.decode`."""
    return decode(read_file(path).data, at_least_px=at_least_px)
