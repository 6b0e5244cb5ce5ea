"""The web app on a free port, in a thread, for tests that talk to it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faunalens.pipeline import Classifier

if TYPE_CHECKING:
    from faunalens_app.desk import Desk
    from faunalens_app.web import Settings


# gradio counts its calls with pandas, in a way that pandas has deprecated.
MARKS = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]


def default_desk(folder: Path) -> "Desk":
    """Decisions in a SQLite file beside the uploads."""
    from faunalens.decisions import Store
    from faunalens_app.desk import Desk

    return Desk(Store(f"sqlite:///{folder.parent / 'decisions.sqlite'}"))


@contextmanager
def serving(
    classifier: Classifier, uploads: Path, settings: "Settings | None" = None
) -> Iterator[str]:
    """The address of the running app; uploads go below `uploads`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        import uvicorn

        from faunalens_app import web

        listener = socket.create_server(("127.0.0.1", 0))

        async def make() -> Any:  # gradio makes an event loop, and leaves it, where none runs
            return web.application(classifier, settings or web.Settings(default_desk(uploads)))

        application = asyncio.run(make())
        running = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            running.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
