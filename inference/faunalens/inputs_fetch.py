"""A polite and wary fetcher of photos over HTTP(S).

Polite: few requests to a host at a time, pauses that grow after errors, `Retry-After` honoured, an
honest User-Agent. Wary: a table of adverts is written by strangers, so its URLs must not make this
program ask the machine itself, the local network or a cloud's metadata service (server-side request
forgery). The address that is connected to is the one that was checked, also after a redirect: no
second look-up of the name lies between, which a rebinding name server could answer otherwise.
"""

import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin

from faunalens.errors import FailureKind, MissingExtraError, PhotoError
from faunalens.inputs_guard import Guard

_TRIES = 4
_REDIRECTS = 5
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_PAUSE_S = 60.0
_BLOCK = 1 << 16
_PLACES = 1024


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch.

    Attributes:
        per_host: Requests to one host at a time.
        timeout_s: For one try, from its start to its last byte.
        max_bytes: Larger photos are given up.
        private: Whether addresses of this machine and its networks may be asked.
        note: Told of retries.
    """

    per_host: int = 4
    timeout_s: float = 30.0
    max_bytes: int = 50 * 1024 * 1024
    private: bool = False
    note: Callable[[str, dict[str, Any]], None] = lambda event, details: None


class Fetcher:
    """Fetches photos; thread-safe.

    Raises:
        MissingExtraError: urllib3 is not installed.
    """

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._urllib3 = _urllib3()
        self._guard = Guard(private=options.private)
        # Hosts share places by their hash, so that a table with a million hosts costs no memory.
        self._places = [threading.BoundedSemaphore(options.per_host) for _ in range(_PLACES)]
        agent = f"faunalens/{version('faunalens')} (batch image check)"
        self._pools = self._urllib3.PoolManager(
            num_pools=256,
            maxsize=options.per_host,
            headers={"User-Agent": agent, "Accept": "image/*", "Accept-Encoding": "identity"},
            timeout=self._urllib3.Timeout(connect=10.0, read=min(20.0, options.timeout_s)),
            retries=False,
            ca_certs=_certificates(),
        )
        self._pools.pool_classes_by_scheme = _checked_pools(self._guard)

    def fetch(self, url: str) -> bytes:
        """The bytes at a URL.

        Raises:
            PhotoError: `missing`, `denied` (also an address that may not be asked), `timeout`, or
                `too_large`.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                return self._follow(url)
            except _Again as again:
                if attempt == _TRIES or self._guard.closed.is_set():
                    tries = f"after {attempt} tries" if attempt > 1 else "and the run has ended"
                    raise PhotoError(again.kind, f"{again} {tries}") from again
                pause = again.pause_s
                if pause is None:
                    pause = 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                pause = min(pause, _LONGEST_PAUSE_S)
                details = {"source": url, "reason": str(again), "pause_seconds": round(pause, 2)}
                self._options.note("fetch_retry", details)
                self._guard.closed.wait(pause)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """End what is under way."""
        self._guard.close()

    def _follow(self, url: str) -> bytes:
        for _ in range(_REDIRECTS + 1):
            if not url.lower().startswith(("http://", "https://")):
                raise PhotoError(FailureKind.DENIED, "redirected to something else than http(s)")
            with self._places[hash(url.split("/")[2].lower()) % _PLACES]:
                answer = self._ask(url, time.monotonic() + self._options.timeout_s)
            if not isinstance(answer, str):
                return answer
            url = answer
        raise PhotoError(FailureKind.MISSING, f"more than {_REDIRECTS} redirects")

    def _ask(self, url: str, until: float) -> bytes | str:
        """The photo, or where it has gone."""
        errors = self._urllib3.exceptions
        try:
            with self._guard.deadline(until):
                response = self._pools.request(
                    "GET", url, redirect=False, preload_content=False, decode_content=False
                )
                try:
                    return self._read(response, url, until)
                finally:
                    # Closed and not drained: the body of an error may have no end.
                    response.close()
                    response.release_conn()
        except errors.LocationParseError as error:
            raise PhotoError(FailureKind.MISSING, f"not a URL: {error}") from error
        except errors.SSLError as error:
            raise PhotoError(FailureKind.DENIED, f"no trusted connection: {error}") from error
        except errors.NameResolutionError as error:
            raise PhotoError(FailureKind.MISSING, "no such host") from error
        except errors.TimeoutError as error:
            raise _Again(FailureKind.TIMEOUT, "no answer in time") from error
        except (errors.HTTPError, OSError) as error:
            if time.monotonic() > until:
                raise _Again(FailureKind.TIMEOUT, "no answer in time") from error
            raise _Again(FailureKind.MISSING, f"no connection: {_reason(error)}") from error
        except ValueError as error:  # a host name that IDNA cannot encode, and the like
            raise PhotoError(FailureKind.MISSING, f"not a URL: {error}") from error

    def _read(self, response: Any, url: str, until: float) -> bytes | str:
        status = response.status
        if status in (301, 302, 303, 307, 308):
            target = response.headers.get("Location")
            if not target:
                raise PhotoError(FailureKind.MISSING, f"HTTP {status} without a new address")
            return str(urljoin(url, target))
        if status in _BUSY:
            pause = _retry_after(response.headers.get("Retry-After"))
            raise _Again(FailureKind.MISSING, f"HTTP {status}", pause)
        if status in (401, 403, 407, 451):
            raise PhotoError(FailureKind.DENIED, f"HTTP {status}: the server does not give it out")
        if status != 200:
            raise PhotoError(FailureKind.MISSING, f"HTTP {status}")
        limit = self._options.max_bytes
        length = response.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length[:19]) > limit:
            raise PhotoError(FailureKind.TOO_LARGE, f"{length} bytes, the limit is {limit:,}")
        parts, got = [], 0
        while block := response.read1(_BLOCK):
            parts.append(block)
            got += len(block)
            if got > limit:
                raise PhotoError(FailureKind.TOO_LARGE, f"longer than {limit:,} bytes")
            if time.monotonic() > until or self._guard.closed.is_set():
                raise _Again(FailureKind.TIMEOUT, "not all of it in time")
        return b"".join(parts)


class _Again(Exception):
    """A failure that may pass; with the pause that the server asks for."""

    def __init__(self, kind: FailureKind, message: str, pause_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.pause_s = pause_s


@cache
def _urllib3() -> Any:
    try:
        import urllib3
        import urllib3.connection
    except ImportError as error:
        raise MissingExtraError("web", "fetching photos over http(s)") from error
    return urllib3


def _certificates() -> str | None:
    try:
        import certifi
    except ImportError:
        return None  # the system's
    return certifi.where()


def _checked_pools(guard: Guard) -> dict[str, Any]:
    """urllib3's pools, with connections that go through the guard."""
    urllib3 = _urllib3()
    errors = urllib3.exceptions

    class Checked:
        host: str
        port: int
        sock: Any

        def _new_conn(self) -> socket.socket:
            name: Any = self
            try:
                # `_dns_host` keeps the dot at the end of a full name, `host` does not.
                host, options = name._dns_host.strip("[]"), name.socket_options
                return guard.connect(host, self.port, name.timeout, options)
            except socket.gaierror as error:
                raise errors.NameResolutionError(self.host, name, error) from error
            except TimeoutError as error:
                raise errors.ConnectTimeoutError(name, "connecting took too long") from error
            except OSError as error:
                raise errors.NewConnectionError(name, str(error)) from error

        def getresponse(self, *words: Any, **options: Any) -> Any:
            guard.watch(self.sock)
            return super().getresponse(*words, **options)  # type: ignore[misc]

    connection = urllib3.connection
    plain = type("Plain", (Checked, connection.HTTPConnection), {})
    secure = type("Secure", (Checked, connection.HTTPSConnection), {})
    return {
        "http": type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("SecurePool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


def _retry_after(value: str | None) -> float | None:
    """Seconds; the header holds seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        if value.isascii() and value.isdigit():
            return float(value[:9])
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2][:200]
