"""`faunalens serve`: the web app. gradio is imported only when it is called."""

import contextlib
import ipaddress
import os
import re
import signal
import socket
import sys
import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING

import click

from faunalens.cores import available_cores
from faunalens.errors import FaunalensError, MissingExtraError
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app import text

if TYPE_CHECKING:
    from faunalens.linking.index import PhotoIndex

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--auth", type=_FILE, help="Names and passwords (see `faunalens password`).")
@click.option("--no-auth", is_flag=True, help="Something else, such as a proxy, asks for them.")
@click.option("--root-path", default="", help="Path under which a proxy publishes it: /faunalens.")
@click.option(
    "--store", help="Database of decisions, as a URL.  [default: a SQLite file of this user]"
)
@click.option(
    "--keep-photos",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the photos that a decision was saved for, in this folder.  [default: none]",
)
@click.option("--max-upload-mb", type=click.IntRange(1, 4096), default=100, show_default=True)
@click.option(
    "--queue-size",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Requests that may wait, per language.",
)
@click.option(
    "--keep-minutes",
    type=click.FloatRange(0.1),
    default=10,
    show_default=True,
    help="Temporary copies of photos are deleted once older.",
)
@click.option(
    "--similar", type=_FILE, help="Results of a scan in which to look for similar photos."
)
@click.option("--model", "model_path", type=_FILE, help="Another model than the one that ships.")
@click.option(
    "--open/--no-open", "open_browser", default=True, show_default=True, help="Open the browser."
)
@click.option("--api", is_flag=True, help="No page: the HTTP API for other programs, /docs tells.")
def serve(
    host: str,
    port: int,
    auth: Path | None,
    no_auth: bool,
    root_path: str,
    store: str | None,
    keep_photos: Path | None,
    max_upload_mb: int,
    queue_size: int,
    keep_minutes: float,
    similar: Path | None,
    model_path: Path | None,
    open_browser: bool,
    api: bool,
) -> None:
    """Judge photos in the browser; nothing is sent to other machines.

    Needs the extra: pip install 'faunalens[app]', or 'faunalens[api]' for --api.
    """
    if auth is not None and no_auth:
        raise click.UsageError("--auth and --no-auth exclude each other")
    if not is_loopback(host) and auth is None and not no_auth:
        raise click.BadParameter(text.NOT_LOOPBACK.format(host=host), param_hint="--host")
    if root_path and not re.fullmatch(r"(/[\w.~-]+)+", root_path):
        raise click.BadParameter(text.ROOT_PATH.format(path=root_path), param_hint="--root-path")
    if api:
        if auth is not None:
            raise click.UsageError(text.NO_API_AUTH)
        from faunalens_app.http.server import serve_api

        with _listen(host, port) as listener:
            serve_api(listener, model_path)
        return
    # The server ends on this signal and then passes it on; the uploads are still to be deleted.
    signal.signal(signal.SIGTERM, _leave)
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

            from faunalens.decisions import Store, default_url
            from faunalens_app import web
            from faunalens_app.desk import Desk
            from faunalens_app.guard import Door
            from faunalens_app.passwords import Passwords
            from faunalens_app.uploads import Sweeper
        except ImportError as error:
            raise MissingExtraError("app", text.NEEDED.format(module=error.name)) from error
        check = Passwords(auth).check if auth else None
        desk = Desk(Store(store or default_url()), keep_photos, signed_in=auth is not None)
        running.callback(desk.store.close)
        settings = web.Settings(
            desk=desk,
            door=Door(check, any_name=bool(auth) or no_auth, root_path=root_path),
            keep_s=60 * keep_minutes,
            max_upload_mb=max_upload_mb,
            queue_size=queue_size,
            workers=max(2, available_cores()),
            similar=_index(similar, model_path),
        )
        classifier = Classifier(Model(model_path, threads=available_cores()))
        application = web.application(classifier, settings)
        running.enter_context(Sweeper(Path(uploads), settings.keep_s))
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        click.echo(text.SERVING.format(url=url), err=True)
        click.echo(text.STORE.format(store=desk.store.name), err=True)
        if open_browser:
            webbrowser.open(url)  # waits in the listener's queue until the server takes it
        server = uvicorn.Server(
            uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=5)
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _index(results: Path | None, model_path: Path | None) -> "PhotoIndex | None":
    """The photos of some results, ready to be searched."""
    if results is None:
        return None
    from faunalens.linking.index import PhotoIndex

    return PhotoIndex.of_results(results, None, model_path, threads=available_cores())


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


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
