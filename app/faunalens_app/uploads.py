"""Uploaded files: taken as they came, from the upload folder alone, and deleted after a while."""

import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.utils import get_upload_folder

from faunalens.fragments import Markup, fill
from faunalens_app.catalogue import Catalogue


class Upload(NamedTuple):
    """One uploaded file: where its copy lies, and what its owner calls it."""

    path: Path
    name: str


def is_upload(path: str | Path) -> bool:
    """Whether the path is an uploaded file, and not another one of this machine or a link."""
    return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())


def as_they_came(component: gr.File) -> None:
    """Make the component give the uploaded files as `Upload`s, whatever they are called.

    By itself it would refuse files by the ending of their name, and copy nothing but their path.
    """
    # Set here and not in a subclass: gradio writes a .pyi file beside every module that has one.
    component.preprocess = lambda payload: [
        Upload(Path(one.path), one.orig_name or Path(one.path).name)
        for one in getattr(payload, "root", [payload] if payload else [])
    ]


def over_limit(say: Catalogue, most_mb: int) -> Markup:
    """A place for the names of files over the limit; page.js, which leaves them out, fills it.

    By itself gradio refuses all that came with them, in English.
    """
    return fill(
        '<p class="fl-refused fl-over" role="alert" data-most="{most}" data-text="{text}" hidden>'
        "</p>",
        most=most_mb * 2**20,
        text=say("add.over_limit", names="{names}", mb=say.number(most_mb)),
    )


def take_uploads_only(page: gr.Blocks, say: Catalogue) -> None:
    """Refuse every file in a request that is not an upload, for all functions of the page.

    By itself gradio fetches links, and (6.31, when mounted) takes the path of any file of this
    machine, before the function is called.
    """

    async def only_uploads(path: Any) -> Any:
        if not is_upload(path):
            raise gr.Error(say("add.not_uploaded"), print_exception=False)
        return str(path)

    for function in page.fns.values():
        for component in function.inputs:
            component.async_move_resource_to_block_cache = only_uploads


class Sweeper:
    """Deletes uploads, and what was made from them, once they are old enough.

    Args:
        folder: Everything below it is temporary.
        keep_s: Age, in seconds, from which a file is deleted; looked for as often.
    """

    def __init__(self, folder: Path, keep_s: float) -> None:
        self._folder, self._keep_s = folder, keep_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def __enter__(self) -> "Sweeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(self._keep_s):
            self.sweep()

    def sweep(self, now: float | None = None) -> int:
        """Delete what is old enough by now (seconds since the epoch); how many files that were."""
        limit = (time.time() if now is None else now) - self._keep_s
        deleted = 0
        # Deepest first, so that emptied folders go too.
        for path in sorted(self._folder.rglob("*"), key=lambda p: len(p.parts), reverse=True):
            try:
                if path.is_dir() and not path.is_symlink():
                    if path.stat().st_mtime < limit:
                        path.rmdir()  # fails, rightly, while something is in it
                elif path.lstat().st_mtime < limit:
                    path.unlink()
                    deleted += 1
            except OSError:
                continue  # in use, or gone already
        return deleted
