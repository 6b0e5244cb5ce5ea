"""The screen: one photo in, the answer out. Needs gradio (extra `app`).

Nothing leaves the machine: no telemetry, no fonts or scripts from elsewhere (a content security
policy makes the browser refuse them), no links followed, uploads deleted. Of gradio's many
addresses only those that the screen needs are answered.
"""

import re
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faunalens.fragments import style
from faunalens.labels import load_labels
from faunalens.pipeline import Classifier
from faunalens_app import answer, text

MAX_FILE_SIZE = "25mb"
_KEEP_S = 600  # uploads are deleted once older, looked for as often

# No other origin. Gradio's own page needs inline scripts; its code makes functions from text.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; "
    "connect-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Another name that leads here is a page of a stranger who pointed his name at this machine.
_HOSTS = re.compile(rb"(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
# What the screen, and gradio_client, ask for. Left out: fetching links for the browser, run
# history on a hub, editing the app, monitoring, recordings.
_PATHS = re.compile(
    r"/((config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?|(assets|static|svelte)/.+"
    r"|gradio_api/((app_id|login_check|info|startup-events|upload|upload_progress|reset|cancel)/?"
    r"|queue/(join|data)|heartbeat/.+|call/judge(/.+)?|file=(?!https?:).+))?"
)


class Guard:
    """ASGI layer: answers only this machine, only what the screen needs, with security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif status := _refusal(scope):
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": text.REFUSED.encode()})
        else:
            await self._app(scope, receive, _with_headers(send))


def _refusal(scope: Scope) -> int | None:
    """The HTTP status with which to refuse a request; None to let it pass."""
    headers = dict(scope["headers"])
    if not _HOSTS.fullmatch(headers.get(b"host", b"")):
        return 421
    if not _PATHS.fullmatch(scope["path"]):
        return 404
    # Sent by a page of another site. A link to the screen is welcome, anything else is not.
    if headers.get(b"sec-fetch-site") == b"cross-site" and scope["path"] != "/":
        return 403
    return None


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return add


def build(classifier: Classifier) -> gr.Blocks:
    """The screen, with its one function (`/judge` for programs: a photo to two pieces of HTML)."""
    labels = load_labels()

    def judge(photo: str | None) -> tuple[str, str]:
        if photo is None:
            said = answer.waiting()
        else:
            judgement = classifier.classify(photo, source=Path(photo).name)
            now = datetime.now().astimezone()
            said = answer.answer(judgement, classifier.model.spec, classifier.rules, labels, now)
        return said.first, said.more

    with gr.Blocks(
        title=text.TITLE, analytics_enabled=False, delete_cache=(_KEEP_S, _KEEP_S)
    ) as screen:
        gr.HTML(f"<h1>{text.TITLE}</h1><p>{text.LEAD}</p>", elem_id="fl-head", padding=False)
        with gr.Row(elem_id="fl-row"):
            with gr.Column(scale=5, min_width=280, elem_id="fl-photo"):
                photo = gr.Image(
                    label=text.PHOTO,
                    sources=["upload", "clipboard"],
                    type="filepath",
                    placeholder=text.DROP,
                    buttons=[],
                    height=380,
                    interactive=True,
                )
                _hand_over_as_it_came(photo)
                gr.HTML(
                    f"<p>{text.PRIVACY.format(minutes=2 * _KEEP_S // 60)}</p>",
                    elem_id="fl-privacy",
                    padding=False,
                )
            with gr.Column(scale=7, min_width=280):
                first = gr.HTML(answer.waiting().first, elem_id="fl-first", padding=False)
        more = gr.HTML(elem_id="fl-more", padding=False)
        photo.change(judge, photo, [first, more], api_name="judge", show_progress="minimal")
    return screen


def application(screen: gr.Blocks) -> ASGIApp:
    """The screen as a web application."""
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    system = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "Menlo", "Consolas", "Liberation Mono", "monospace"]
    gr.mount_gradio_app(
        server,
        screen,
        path="/",
        server_name="127.0.0.1",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=True,
        max_file_size=MAX_FILE_SIZE,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Base(font=system, font_mono=mono),
        css=style() + resources.files("faunalens_app").joinpath("web.css").read_text("utf-8"),
        js=_ON_LOAD,
    )
    return Guard(server)


def _hand_over_as_it_came(photo: gr.Image) -> None:
    """Make the component give the path of the uploaded file, and of no other.

    By itself it decodes the photo, and may turn, convert and save it again: other pixels than the
    ones that `faunalens scan` sees, and an error of its own where the file is no photo. It would
    also fetch a link, and (gradio 6.31, when mounted) take the path of any file of this machine.
    """
    to_cache = photo.async_move_resource_to_block_cache

    async def only_uploads(path: Any) -> Any:
        folder = Path(get_upload_folder()).resolve()
        if not Path(path).resolve().is_relative_to(folder):
            raise gr.Error(text.NOT_UPLOADED, print_exception=False)
        return await to_cache(path)

    # Set here and not in a subclass: gradio writes a .pyi file beside every module that has one.
    photo.preprocess = lambda payload: payload and payload.path
    photo.async_move_resource_to_block_cache = only_uploads


# Screen readers are told when the answer changes. The answer is dark on white: so is the page.
_ON_LOAD = """() => {
  document.body.classList.remove('dark');
  document.getElementById('fl-first')?.setAttribute('aria-live', 'polite');
}"""
