"""`faunalens serve`: the web app on this computer. gradio is imported only when it is called."""

import contextlib
import ipaddress
import os
import signal
import socket
import sys
import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from faunalens.cores import available_cores
from faunalens.errors import FaunalensError, MissingExtraError
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app import text


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of this computer.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--model",
    "model_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another model file than the one that ships.",
)
@click.option(
    "--open/--no-open", "open_browser", default=True, show_default=True, help="Open the browser."
)
@click.option("--api", is_flag=True, help="No page: the HTTP API for other programs, /docs tells.")
def serve(host: str, port: int, model_path: Path | None, open_browser: bool, api: bool) -> None:
    """Judge photos in the browser, on this computer alone.

    Needs the extra: pip install 'faunalens[app]', or 'faunalens[api]' for --api.
    """
    if not is_loopback(host):
        raise click.BadParameter(text.NOT_LOOPBACK.format(host=host), param_hint="--host")
    if api:
        from faunalens_app.http.server import serve_api

        with _listen(host, port) as listener:
            serve_api(listener, model_path)
        return
    # The server ends on this signal and then passes it on; the uploads are still to be deleted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        _listen(host, port) as listener,
        TemporaryDirectory(prefix="faunalens-") as uploads,  # readable by this user alone
        contextlib.ExitStack() as running,
    ):
        # Before gradio is imported: it reads them then.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "True"
        os.environ["GRADIO_TEMP_DIR"] = uploads
        try:
            import uvicorn

            from faunalens_app import web
            from faunalens_app.uploads import Sweeper
        except ImportError as error:
            raise MissingExtraError("app", text.NEEDED.format(module=error.name)) from error
        classifier = Classifier(Model(model_path, threads=available_cores()))
        settings = web.Settings()
        application = web.application(classifier, settings)
        running.enter_context(Sweeper(Path(uploads), settings.keep_s))
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        click.echo(text.SERVING.format(url=url), err=True)
        if open_browser:
            webbrowser.open(url)  # waits in the listener's queue until the server takes it
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that the port is known, and ours, before the server starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # on Windows it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise FaunalensError(text.PORT_TAKEN.format(host=host, port=port, reason=reason)) from error
    return listener
