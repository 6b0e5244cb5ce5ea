"""The fetcher against servers that are slow, busy, endless, or lead into the local network."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adverts import GREY, RED, write_table
from photo_server import Server
from test_scan import rows, run

from faunalens import inputs_fetch, inputs_guard
from faunalens.errors import PhotoError
from faunalens.inputs_fetch import Fetcher, FetchOptions
from faunalens.inputs_guard import refuse_private
from faunalens.inputs_item import Item
from faunalens.load import loaded

pytest.importorskip("urllib3")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetcher]:
    monkeypatch.setattr(inputs_fetch, "_LONGEST_PAUSE_S", 0.01)
    fetcher = Fetcher(FetchOptions(private=True, max_bytes=1 << 20, timeout_s=1.0))
    yield fetcher
    fetcher.close()


@pytest.mark.parametrize(
    ("path", "kind", "message", "tries"),
    [
        ("/status404", "missing", "HTTP 404", 1),
        ("/status403", "denied", "HTTP 403", 1),
        ("/status500", "missing", "HTTP 500 after 4 tries", 4),
        ("/always-busy", "missing", "HTTP 429 after 4 tries", 4),
        ("/circle", "missing", "more than 5 redirects", 6),
        ("/to?file:///etc/passwd", "denied", "something else than http", 1),
        ("/to?gopher://x/", "denied", "something else than http", 1),
        ("/said-large", "too_large", "999999999 bytes", 1),
        ("/endless", "too_large", "longer than 1,048,576 bytes", 1),
        ("/endless-error", "missing", "HTTP 503 after 4 tries", 4),
        ("/slow-body", "timeout", "not all of it in time after 4 tries", 4),
        ("/slow-head", "timeout", "no answer in time after 4 tries", 4),
        ("/short", "missing", "after 4 tries", 4),
    ],
)
def test_what_goes_wrong_has_its_kind(
    server: Server, fetcher: Fetcher, path: str, kind: str, message: str, tries: int
) -> None:
    started = time.monotonic()
    with pytest.raises(PhotoError) as caught:
        fetcher.fetch(server.url(path))
    assert (caught.value.kind, message in str(caught.value)) == (kind, True), caught.value
    assert server.seen[path] == tries
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("path", ["/a.png", "/busy-twice", "/to?/a.png", "/to?//{host}/b"])
def test_photos_are_got(server: Server, fetcher: Fetcher, path: str) -> None:
    path = path.format(host=server.url("/").split("/")[2])
    assert fetcher.fetch(server.url(path)) == RED
    assert all(agent.startswith("faunalens/") for agent in server.agents)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://nowhere.invalid/a.jpg", "missing"),
        ("http://[::1/a.jpg", "missing"),
        ("http:///a.jpg", "missing"),
        ("http://a..b/" + "x" * 10, "missing"),
        ("http://xn--/ü\x00", "missing"),
    ],
)
def test_urls_that_lead_nowhere(fetcher: Fetcher, url: str, kind: str) -> None:
    with pytest.raises(PhotoError) as caught:
        fetcher.fetch(url)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1",
        "::1", "::", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2002:a00:1::", "fec0::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_private_addresses_are_refused(address: str) -> None:
    with pytest.raises(PhotoError) as caught:
        refuse_private(address)
    assert caught.value.kind == "denied"


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_public_addresses_are_not(address: str) -> None:
    refuse_private(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_no_spelling_of_this_machine_is_asked(server: Server, host: str) -> None:
    fetcher = Fetcher(FetchOptions(timeout_s=2))
    with pytest.raises(PhotoError) as caught:
        fetcher.fetch(f"http://{host}:{server.server_port}/a.png")
    assert caught.value.kind in ("denied", "missing")
    assert not server.seen
    fetcher.close()


def test_a_name_is_looked_up_once_and_each_of_its_addresses_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebinding name server answers first with a public address, then with this machine's."""
    asked = []

    def rebinding(host: str, port: int, *words: Any) -> list[Any]:
        asked.append(host)
        address = "203.0.114.7" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []

    class Socket(socket.socket):
        def connect(self, address: Any) -> None:
            connected.append(address[0])
            raise ConnectionRefusedError("as tests have no network")

    monkeypatch.setattr(inputs_guard.socket, "getaddrinfo", rebinding)  # type: ignore[attr-defined]
    monkeypatch.setattr(inputs_guard.socket, "socket", Socket)  # type: ignore[attr-defined]
    monkeypatch.setattr(inputs_fetch, "_LONGEST_PAUSE_S", 0.0)
    fetcher = Fetcher(FetchOptions(timeout_s=2))
    with pytest.raises(PhotoError) as caught:
        fetcher.fetch(f"http://rebind.example:{server.server_port}/a.png")
    assert connected == ["203.0.114.7"]  # the second answer was refused, and never connected to
    assert caught.value.kind == "denied"
    assert not server.seen

    def both(host: str, port: int, *words: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("203.0.114.7", "127.0.0.1")
        ]

    monkeypatch.setattr(inputs_guard.socket, "getaddrinfo", both)  # type: ignore[attr-defined]
    with pytest.raises(PhotoError, match=r"127\.0\.0\.1 is not an address of the public"):
        fetcher.fetch("http://both.example/a.png")
    assert connected == ["203.0.114.7"]
    fetcher.close()


def test_a_redirect_into_the_local_network_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard_refuses = inputs_guard.refuse_private
    allowed = Counter[str]()

    def first_time_public(address: str) -> None:
        allowed[address] += 1
        if allowed[address] > 1 or address != "127.0.0.1":
            guard_refuses(address)

    monkeypatch.setattr(inputs_guard, "refuse_private", first_time_public)
    fetcher = Fetcher(FetchOptions(timeout_s=2))
    with pytest.raises(PhotoError, match="not an address of the public internet"):
        fetcher.fetch(server.url(f"/to?http://localhost:{server.server_port}/secret"))
    assert "/secret" not in server.seen
    fetcher.close()


def test_order_is_kept_and_hosts_are_not_crowded(server: Server) -> None:
    fetcher = Fetcher(FetchOptions(per_host=3, private=True))

    def items() -> Iterator[Item]:
        for number in range(24):
            if number % 5 == 0:
                yield Item(f"local{number}")
            else:
                url = server.url(f"/wait{number}")
                yield Item(url, load=lambda url=url: fetcher.fetch(url), remote=True)  # type: ignore[misc]

    found = [item.source.rpartition("/")[2] for item in loaded(items(), threads=16)]
    assert found == [f"local{n}" if n % 5 == 0 else f"wait{n}" for n in range(24)]
    assert 2 <= server.most <= 3
    fetcher.close()


def test_scan_fetches_a_table_of_urls(
    server: Server, tmp_path: Path, tiny_model_path: Path
) -> None:
    adverts = [
        {"id": 1, "image_url": server.url("/red.png")},
        {"id": 2, "image_url": server.url("/status404")},
        {"id": 3, "image_url": server.url("/grey.png")},
        {"id": 4, "image_url": "ftp://x/a.png"},
        {"id": 5, "image_url": "simplecache::memory://a.png"},
    ]
    table = write_table(tmp_path / "t.jsonl", adverts)
    options = ("--ad-column", "id", "--model", tiny_model_path, "--workers", 0)
    found = rows(run("scan", table, *options, "--allow-private"))
    assert [row["verdict"] or row["failure"]["kind"] for row in found] == [
        "alert", "missing", "clear", "unsupported", "missing",
    ]  # fmt: skip
    assert [row["source"] for row in found] == [row["image_url"] for row in adverts]
    refused = rows(run("scan", table, *options))
    assert [row["failure"]["kind"] for row in refused[:3]] == ["denied"] * 3


def test_objects_in_a_store(tmp_path: Path, tiny_model_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/b.png": RED, "/bucket/sub/c.png": GREY, "/bucket/n.txt": b""})
    options = ("--model", tiny_model_path, "--workers", 0)
    try:
        found = rows(run("scan", "memory://bucket", "memory://bucket/none.png", *options))
    finally:
        store.rm("/bucket", recursive=True)
    assert [(row["source"], row["verdict"] or row["failure"]["kind"]) for row in found] == [
        ("memory:///bucket/b.png", "alert"),
        ("memory:///bucket/sub/c.png", "clear"),
        ("memory:///bucket/none.png", "missing"),
    ]
