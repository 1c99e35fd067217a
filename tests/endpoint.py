"""A chat endpoint on loopback that speaks OpenAI's protocol and answers what a test wants.

    with Endpoint(["Hello", Fault(429, {"Retry-After": "2"}), "drop"]) as endpoint:
        ChatOpenAI(base_url=endpoint.url, api_key="test", model="test").invoke("Hi")

The n-th call gets the n-th reply; with `repeat` the last one answers all further calls.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Fault:
    """A raw HTTP reply: an error status, or a body that is no answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = ""


@dataclass(frozen=True)
class Late:
    """A reply after some seconds, or as soon as the endpoint closes."""

    seconds: float
    reply: Any = "late"


@dataclass(frozen=True)
class Cut:
    """A streamed reply that breaks off after some events, without a finish reason; one in a piece is whole."""

    reply: Any
    events: int = 3
    inside: bool = False
    """Whether it breaks off in the middle of the next event."""


Scripted = str | dict[str, Any] | Fault | Late | Cut
"""A text, a whole reply body, a fault, a late or cut reply, or `drop`, which closes the connection unanswered."""


class Endpoint:
    def __init__(self, replies: Sequence[Scripted] = (), *, repeat: bool = False, models: Sequence[str] = ("test",)):
        self.replies = list(replies)
        self.repeat = repeat
        self.models = list(models)
        self.requests: list[dict[str, Any]] = []
        """The bodies of all chat requests in the order of their arrival."""
        self.headers: list[dict[str, str]] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.endpoint = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reply_to(self, request: dict[str, Any], headers: dict[str, str]) -> Scripted:
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            number = len(self.requests) - 1
        if number < len(self.replies):
            return self.replies[number]
        if self.repeat and self.replies:
            return self.replies[-1]
        return Fault(418, body={"error": {"message": f"no reply is scripted for call {number + 1}"}})


class _Server(ThreadingHTTPServer):
    endpoint: Endpoint
    daemon_threads = False  # server_close then waits for every handler, so no test leaves a thread behind

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, after its time-out for example, is no error of the endpoint."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        known = [
            {"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in self.server.endpoint.models
        ]
        if self.path.rstrip("/").endswith("/models"):
            self._send(Fault(200, body={"object": "list", "data": known}))
        else:
            self._send(Fault(404, body={"error": {"message": f"no such path: {self.path}"}}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = self.server.endpoint.reply_to(request, {key.lower(): value for key, value in self.headers.items()})
        if isinstance(reply, Late):
            self.server.endpoint.closing.wait(reply.seconds)
            reply = reply.reply
        if reply == "drop":
            self.close_connection = True
        elif isinstance(reply, Fault):
            self._send(reply)
        elif isinstance(reply, Cut) and request.get("stream"):
            self._break_off(reply, request["model"])
        elif request.get("stream"):
            self._stream(completion(reply, request["model"]))
        else:
            whole = reply.reply if isinstance(reply, Cut) else reply
            self._send(Fault(200, body=completion(whole, request["model"])))

    def _send(self, reply: Fault) -> None:
        body = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        content = body.encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, body: dict[str, Any]) -> None:
        self._send_events([*map(json.dumps, _events(body)), "[DONE]"])

    def _break_off(self, cut: Cut, model: str) -> None:
        sent = list(_events(completion(cut.reply, model)))[: cut.events]
        for choice in (one for event in sent for one in event["choices"]):
            choice["finish_reason"] = None
        self._send_events(map(json.dumps, sent))
        self.wfile.write(b'data: {"id": "x", "choi' if cut.inside else b"")

    def _send_events(self, events: Iterable[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"data: {event}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the tests' output quiet."""


def completion(reply: str | dict[str, Any], model: str = "test") -> dict[str, Any]:
    """Return the reply body for a text, a message (`{"content": ...}`), or a whole body with `choices`."""
    if isinstance(reply, dict) and not reply.keys() & {"content", "tool_calls", "refusal"}:
        return reply
    message = {"role": "assistant", **({"content": reply} if isinstance(reply, str) else reply)}
    finish_reason = message.pop("finish_reason", "tool_calls" if message.get("tool_calls") else "stop")
    words = len((message.get("content") or "").split())
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": words, "total_tokens": 1 + words},
    }


def _events(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Cut a reply body into the chunks of a stream: the role, its words, the rest of the message, the usage."""
    if not body.get("choices"):
        yield body
        return
    choice = body["choices"][0]
    message = dict(choice["message"])
    base = {**body, "object": "chat.completion.chunk", "usage": None}
    calls = [{"index": index, **call} for index, call in enumerate(message.pop("tool_calls", None) or [])]
    for word in ("", *re.findall(r"\s*\S+|\s+\Z", message.pop("content", None) or "")):
        delta = {"content": word} if word else {"role": message.pop("role", "assistant"), "content": ""}
        yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    delta = {**message, **({"tool_calls": calls} if calls else {})}
    yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": choice.get("finish_reason")}]}
    yield {**base, "choices": [], "usage": body.get("usage")}
