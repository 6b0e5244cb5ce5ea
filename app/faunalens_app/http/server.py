"""Start the HTTP API on a socket that listens already."""

import contextlib
import socket
from pathlib import Path

import click

from faunalens.errors import MissingExtraError
from faunalens.model import Model
from faunalens.pipeline import Classifier

_KEEP_ALIVE_S = 15
_CONNECTIONS = 256  # open at one time; each may wait, and only some of them ask


def serve_api(listener: socket.socket, model_path: Path | None) -> None:
    """Answer requests until the process is told to end.

    Raises:
        MissingExtraError: The packages of the extra `api` are not installed.
    """
    try:
        import uvicorn

        from faunalens_app.http.application import application
    except ImportError as error:
        raise MissingExtraError("api", f"the HTTP API ({error.name})") from error
    app = application(Classifier(Model(model_path, threads=1)))
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    click.echo(f"HTTP API on http://{host}:{address[1]}/ (docs: /docs)", err=True)
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE_S,
        limit_concurrency=_CONNECTIONS,
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
