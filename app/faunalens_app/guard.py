"""What stands before gradio: who may ask, for what, under which name, and in which language.

Nothing leaves the machine: a content security policy makes the browser refuse everything from
elsewhere, and of gradio's many addresses only those that the screens need are answered.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faunalens.labels import LANGUAGES
from faunalens_app import text
from faunalens_app.catalogue import preferred

COOKIE = "faunalens-language"

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
# What the screens, and gradio_client, ask for. Left out: fetching links for the browser, run
# history on a hub, editing the app, monitoring, recordings.
_LANGUAGES = "|".join(LANGUAGES)
_SCREEN = re.compile(rf"/({_LANGUAGES})/?")
_PATHS = re.compile(
    rf"/({_LANGUAGES})/((config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?"
    r"|(assets|static|svelte)/.+"
    r"|gradio_api/((app_id|login_check|info|startup-events|upload|upload_progress|reset|cancel)/?"
    r"|queue/(join|data)|heartbeat/.+|call/[a-z_]+(/.+)?|file=(?!https?:).+))?"
)

# A lens. Without one, the browser asks for gradio's.
_ICON = (
    b"<link rel='icon' href=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' "
    b"viewBox='0 0 16 16' fill='none' stroke='%230b57a8' stroke-width='2'><circle cx='7' cy='7' "
    b"r='5'/><path d='m11 11 4 4'/></svg>\">"
)

Headers = dict[bytes, bytes]


@dataclass(frozen=True)
class Door:
    """Who may come in.

    Attributes:
        check: Whether a name and its password are right; None asks for none.
        any_name: Answer under any host name, as behind a reverse proxy. Only with passwords, or
            where somebody else asks for them.
        root_path: Path under which a reverse proxy publishes the app, such as `/faunalens`.
    """

    check: Callable[[str, str], bool] | None = None
    any_name: bool = False
    root_path: str = ""


class Guard:
    """ASGI layer around the app."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no screen uses web sockets
        headers: Headers = dict(scope["headers"])
        root = self._door.root_path
        if root and scope["path"].startswith(f"{root}/"):  # a proxy that does not cut it off
            scope = {**scope, "path": scope["path"][len(root) :]}
        if not self._door.any_name and not _HOSTS.fullmatch(headers.get(b"host", b"")):
            await _answer(send, 421)
        elif self._door.check is not None and not await self._knows(headers):
            # A browser asks for name and password in its own words, in its user's language.
            ask = (b"www-authenticate", b'Basic realm="faunalens", charset="UTF-8"')
            await _answer(send, 401, ask)
        elif scope["path"] == "/":
            await self._to_language(headers, send)
        elif not _PATHS.fullmatch(scope["path"]) and not _SCREEN.fullmatch(scope["path"]):
            await _answer(send, 404)
        elif (
            # Sent by a page of another site. A link to the screen is welcome, else nothing is.
            headers.get(b"sec-fetch-site") == b"cross-site" and not _SCREEN.fullmatch(scope["path"])
        ):
            await _answer(send, 403)
        else:
            screen = _SCREEN.fullmatch(scope["path"])
            if screen and scope["method"] == "GET":
                send = _in_language(screen[1], send)
            await self._app(scope, receive, self._with_headers(screen, send))

    async def _knows(self, headers: Headers) -> bool:
        credentials = basic_credentials(headers.get(b"authorization", b"").decode("latin-1"))
        check = self._door.check
        return (
            credentials is not None
            and check is not None
            and await run_in_threadpool(check, *credentials)
        )

    async def _to_language(self, headers: Headers, send: Send) -> None:
        language = _chosen(headers.get(b"cookie", b"").decode("latin-1"))
        if language is None:
            language = preferred(headers.get(b"accept-language", b"").decode("latin-1"))
        place = f"{self._door.root_path}/{language}/".encode()
        await _answer(
            send, 307, (b"location", place), (b"cache-control", b"no-store"), (b"vary", b"cookie")
        )

    def _with_headers(self, screen: re.Match[str] | None, send: Send) -> Send:
        added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
        if screen:
            place = self._door.root_path or "/"
            cookie = f"{COOKIE}={screen[1]}; Path={place}; Max-Age=31536000; SameSite=Strict"
            added.append((b"set-cookie", cookie.encode()))

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        return add


def _in_language(language: str, send: Send) -> Send:
    """Say in the page which language it is in.

    Gradio says English, and words its own parts in the language of the browser: for the page, the
    browser's language is made that of the page.
    """
    start: Message | None = None
    body = b""
    quoted = f'"{language}"'.encode()
    script = (
        b"<head><script>for(const[k,v]of[['language',%s],['languages',[%s]]])"
        b"Object.defineProperty(navigator,k,{get:()=>v});</script>%s"
    ) % (quoted, quoted, _ICON)

    async def rewrite(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
            return
        body += message.get("body", b"")
        if message.get("more_body") or start is None:
            return
        body = body.replace(b'lang="en"', b"lang=" + quoted, 1).replace(b"<head>", script, 1)
        headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        await send({**message, "body": body})

    return rewrite


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Name and password of HTTP Basic authentication (RFC 7617); None if there are none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, found, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if found else None


def _chosen(cookies: str) -> str | None:
    try:
        cookie = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie is not None and cookie.value in LANGUAGES else None


async def _answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    body = b"" if status == 307 else text.REFUSED.encode()
    added = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": added})
    await send({"type": "http.response.body", "body": body})
