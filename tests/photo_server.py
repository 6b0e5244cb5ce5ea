"""A server of photos that is slow, busy or endless, by what it is asked for."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from adverts import GREY, RED


class Server(ThreadingHTTPServer):
    """Answers by path, and notes what it saw."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.now = self.most = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        pass  # clients that hang up are the point


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.seen[self.path] += 1
            server.now += 1
            server.most = max(server.most, server.now)
        server.agents.add(self.headers["User-Agent"])
        self.counted = True
        try:
            self.answer(self.path, server.seen[self.path])
        finally:
            self.leave()

    def leave(self) -> None:
        """Before the last byte: a client that has it may ask again before this thread goes on."""
        with self.server.lock:
            self.server.now -= self.counted
            self.counted = False

    def answer(self, path: str, times: int) -> None:
        if path.startswith("/status"):
            self.give(int(path[-3:]), b"an error page")
        elif path == "/busy-twice" and times <= 2:
            self.give(503, b"busy", **{"Retry-After": "0"})
        elif path == "/always-busy":
            self.give(429, b"busy", **{"Retry-After": "0"})
        elif path.startswith("/to?"):
            self.give(302, b"elsewhere", Location=path[4:])
        elif path == "/circle":
            self.give(301, b"round", Location="/circle")
        elif path == "/said-large":
            self.give(200, b"", **{"Content-Length": "999999999"})
        elif path in ("/endless", "/endless-error"):
            self.send_response(200 if path == "/endless" else 503)
            self.end_headers()
            while True:
                self.wfile.write(b"\xff" * 65536)
        elif path == "/slow-body":
            self.send_response(200)
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        elif path == "/slow-head":
            for _ in range(1000):
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.05)
        elif path == "/short":
            self.give(200, RED[:40], **{"Content-Length": str(len(RED))})
        elif path.startswith("/wait"):
            time.sleep(0.1)
            self.give(200, RED)
        else:
            self.give(200, GREY if "grey" in path else RED)

    def give(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.leave()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
