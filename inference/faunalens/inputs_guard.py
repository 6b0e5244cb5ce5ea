"""Which network addresses may be asked, and for how long."""

import ipaddress
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from faunalens.errors import FailureKind, PhotoError

# Stands for IPv4 addresses: what counts is the one inside.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Guard:
    """Connects to checked addresses only, and cuts connections that overrun their deadline."""

    def __init__(self, *, private: bool) -> None:
        self.closed = threading.Event()
        self._private = private
        self._until = threading.local()
        self._open: dict[int, tuple[float, socket.socket]] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        self.closed.set()
        self._cut(float("inf"))

    def deadline(self, until: float) -> "Guard":
        self._until.value = until
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.forget()

    def watch(self, sock: socket.socket) -> None:
        """This thread waits for this socket now."""
        with self._lock:
            self._open[threading.get_ident()] = (self._until.value, sock)

    def forget(self) -> None:
        with self._lock:
            self._open.pop(threading.get_ident(), None)

    def connect(self, host: str, port: int, timeout: Any, options: Any) -> socket.socket:
        """Look a name up once, check every address it has, and connect to one of these.

        Raises:
            PhotoError: `denied`, if one of them may not be asked.
            OSError: No connection.
        """
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        if not self._private:
            for *_, address in found:
                refuse_private(str(address[0]))
        failure: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in options or ():
                    sock.setsockopt(*option)
                sock.settimeout(timeout)
                sock.connect(address)
                return sock
            except OSError as error:
                failure = error
                sock.close()
        raise failure

    def _watch(self) -> None:
        while not self.closed.wait(0.5):
            self._cut(time.monotonic())

    def _cut(self, now: float) -> None:
        with self._lock:
            for until, sock in self._open.values():
                if until < now:
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)


def refuse_private(address: str) -> None:
    """Refuse addresses that are not of the public internet.

    Raises:
        PhotoError: `denied`.
    """
    for ip in _meant(ipaddress.ip_address(address.partition("%")[0])):
        site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
        if not ip.is_global or ip.is_multicast or ip.is_reserved or site_local:
            raise PhotoError(
                FailureKind.DENIED,
                f"{address} is not an address of the public internet; --allow-private permits it",
            )


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses that a packet to this one may reach."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    if ip.ipv4_mapped is not None:
        return [ip.ipv4_mapped]
    if ip in _NAT64:
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    inside = [ip.sixtofour, *(ip.teredo or ())]
    return [ip, *(one for one in inside if one is not None)]
