"""Options of the commands that read the index beside results: `link` and `similar`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--index",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder that keeps the fingerprints; by default beside RESULTS, with the suffix "
        ".index.",
    ),
    click.option(
        "--model",
        "model_path",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The model file that made RESULTS, if not the one that ships.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=None,
        show_default="the cores this process may use",
        help="Threads that read photos and search.",
    ),
)


def index_options(command: _Command) -> _Command:
    """Add --index, --model and --workers: arguments `folder`, `model_path` and `workers`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
