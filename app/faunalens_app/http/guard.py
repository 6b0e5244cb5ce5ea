"""Limits of the HTTP API, held before any handler sees a request."""

import asyncio
import time
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Limits:
    """What one client may ask for.

    Attributes:
        body_bytes: Of a request, form and all photos together.
        photos: In one batch.
        waiting: Requests that are being read or judged at one time; more are told to come back.
        read_s: Seconds in which a body must have come.
    """

    body_bytes: int = 64 * 1024 * 1024
    photos: int = 32
    waiting: int = 64
    read_s: float = 30.0


class _TooLarge(Exception):
    """The body is longer than the limit."""


class Guard:
    """ASGI middleware that refuses what is over the limits: 413, 408 or 503.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)  # health and metrics always answer
            return
        limits = self._limits
        if self._busy >= limits.waiting:
            headers = {"Retry-After": "1"}
            await _refuse(503, "too many requests wait; come back in a second", headers)(
                scope, receive, send
            )
            return
        deadline = time.monotonic() + limits.read_s
        seen, started = 0, False

        async def counted() -> Message:
            nonlocal seen
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                message = await receive()
            seen += len(message.get("body", b""))
            if seen > limits.body_bytes:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        self._busy += 1
        try:
            if _length(scope) > limits.body_bytes:
                raise _TooLarge
            body, more = [], True
            while more:
                message = await counted()
                if message["type"] == "http.disconnect":
                    return
                body.append(message.get("body", b""))
                more = message.get("more_body", False)
            await self._app(scope, _replay(b"".join(body), receive), watched)
        except _TooLarge:
            detail = f"the body is longer than {limits.body_bytes:,} bytes; send fewer or smaller"
            await _refuse(413, detail)(scope, receive, send)
        except TimeoutError:
            if started:
                raise
            await _refuse(408, f"the body took longer than {limits.read_s:g} s")(
                scope, receive, send
            )
        finally:
            self._busy -= 1


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then whatever comes next (a disconnect)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    # The rest of the body was not read: the connection cannot be used again.
    return JSONResponse({"detail": detail}, status, {"Connection": "close", **(headers or {})})
