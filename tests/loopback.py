"""Servers on loopback for tests, each in a thread that ends with the block that starts it."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

JSON = {"Content-Type": "application/json"}


class Loopback(ThreadingHTTPServer):
    """Serves at `url` within a `with` block."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Serves GET and POST in one method, answers in one call, and logs nothing."""

    def serve(self, body: bytes) -> None:
        """Answer a request; `command` and `path` say what it is."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.serve(b"")

    def do_POST(self) -> None:
        self.serve(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body: bytes, headers: Mapping[str, str] = JSON, status: int = 200) -> None:
        """Send a reply with the length of its body, unless the headers have one."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output quiet."""
