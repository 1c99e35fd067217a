"""A provider on this machine that fails as real ones do: an OpenAI-compatible server with a script.

request -> refused by a parameter | the script's reply -> whole or streamed | a fault: raw HTTP, or a closed connection
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.utils import convert_to_messages

from agents.runtime import JsonObject
from agents.testing.replies import Call, Reply, chunks
from agents.testing.scripted import Script, ScriptError, as_reply

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI

EVENT_STREAM = {"Content-Type": "text/event-stream"}


@dataclass(frozen=True)
class Fault:
    """A raw HTTP reply. Data in a 200 is sent as one event to callers that stream, everything else as it is."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    """A text, or data sent as JSON; None for an error object with the status's phrase."""
    _: KW_ONLY
    delay: float = 0
    """Seconds before anything is sent."""

    @classmethod
    def of(cls, status: int, message: str = "", code: str = "", **headers: str) -> Self:
        """Return a fault with an error object as OpenAI words it; `retry_after="1"` becomes a header."""
        error = {"message": message or _phrase(status), "type": code or "error", "param": None, "code": code or None}
        return cls(status, {name.replace("_", "-"): value for name, value in headers.items()}, {"error": error})

    def content(self) -> bytes:
        body = {"error": {"message": _phrase(self.status)}} if self.body is None else self.body
        return (body if isinstance(body, str) else json.dumps(body)).encode("utf-8", "surrogateescape")


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else f"Status {status}"


HALF_A_CALL = Reply(tool_calls=[{"name": "look_up", "args": '{"name": "An'}])

TRANSIENT_FAULTS: JsonObject = {
    "rate limit": Fault.of(429, "Rate limit reached, try again in 10 ms", "rate_limit_exceeded", retry_after="0.01"),
    "server error": Fault.of(500, code="server_error"),
    "bad gateway": Fault(502, {"Content-Type": "text/html"}, "<html>Bad gateway</html>"),
    "overloaded": Fault.of(503, "The engine is overloaded", "overloaded"),
    "dropped connection": ConnectionError("dropped"),
    "cut stream": Reply("This reply breaks", error=ConnectionError("cut")),
    "error in a 200": Fault(200, body={"error": {"message": "upstream timed out", "code": 502}}),
    "empty choices": Fault(200, body={"choices": []}),
    "half a body": Fault(200, body='{"id": "chatcmpl-1", "choi'),
    "half a tool call": HALF_A_CALL,
    "empty reply": Reply(""),
}
"""Faults that may pass: an agent should ask again, within its attempts."""

LASTING_FAULTS: JsonObject = {
    "wrong key": Fault.of(401, "Incorrect API key provided", "invalid_api_key"),
    "quota": Fault.of(429, "You exceeded your current quota, check your plan and billing", "insufficient_quota"),
    "no permission": Fault.of(403, "Country not supported", "unsupported_country"),
    "no such model": Fault.of(404, "The model does not exist", "model_not_found"),
    "too long": Fault.of(400, "This model's maximum context length is 8192 tokens", "context_length_exceeded"),
    "bad request": Fault.of(400, "Invalid value for temperature", "invalid_value"),
    "refusal": Reply(refusal="I cannot help with that."),
    "content filter": Reply(finish_reason="content_filter"),
    "cut off": Reply("And then", finish_reason="length"),
}
"""Faults that last: an agent should ask once, and say why it failed."""


class FaultyProvider:
    """A server on loopback that speaks OpenAI's chat protocol and plays a script of answers and faults.

        with FaultyProvider([Fault.of(429, retry_after="1"), "Hello"]) as provider:
            agent = Agent("ann", instructions="Answer.", model=provider.chat_model())
            assert agent.invoke("Hi")["text"] == "Hello"
            assert len(provider.requests) == 2

    Args:
        script: What `ScriptedModel` takes. A reply may also be a `Fault`; an exception closes the connection, after the
            words of the `Reply` it is in.
        repeat, default: As for `ScriptedModel`.
        refuses: Parameters that are refused with a 400 (`response_format`, `stream_options`, `tools`, ...), or for each
            the fault that answers it.
        models: The models that the server lists; it answers for any.
        loading: Times that the list is answered by 503, as llama.cpp does while it loads a model.
    """

    def __init__(
        self,
        script: object = (),
        *,
        repeat: bool = False,
        default: object = None,
        refuses: Collection[str] | Mapping[str, Fault] = (),
        models: Collection[str] = ("test",),
        loading: int = 0,
    ) -> None:
        self.requests: list[JsonObject] = []
        """The bodies of the chat requests so far, refused ones included."""
        self.headers: list[dict[str, str]] = []
        """Headers of the requests, with names in lower case."""
        self.models = list(models)
        self.loading = loading
        self._refuses = refuses if isinstance(refuses, Mapping) else dict.fromkeys(refuses)
        self._script = Script(script, repeat=repeat, default=default)
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def chat_model(self, **fields: Any) -> ChatOpenAI:
        """Return a `ChatOpenAI` for this server that makes no retries of its own; `fields` replace its settings."""
        from agents.models import openai_chat

        return openai_chat(**{"model": self.models[0], "base_url": self.base_url, "api_key": "test", **fields})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reply_to(self, request: JsonObject, headers: dict[str, str]) -> Any:
        """Record a request and return its `Fault`, or what a script holds for a reply; subclasses may decide it."""
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
        for name, fault in self._refuses.items():
            if request.get(name):
                words = f"Unsupported parameter: '{name}' is not supported with this model"
                return fault or Fault.of(400, words, "unsupported_parameter")
        try:
            return self._script.next(call_of(request))
        except ScriptError as error:
            return Fault.of(418, str(error))


def call_of(request: JsonObject) -> Call:
    """Return a chat request as a call of a model."""
    parameters = {name: value for name, value in request.items() if name != "messages"}
    return Call(convert_to_messages(request["messages"]), parameters)


class _Server(ThreadingHTTPServer):
    provider: FaultyProvider
    daemon_threads = False  # server_close then waits for every handler, so no test leaves a thread behind
    request_queue_size = 200

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that went away, after their time-out for example."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        provider = self.server.provider
        if not self.path.rstrip("/").endswith("/models"):
            self._send(Fault.of(404, f"no such path: {self.path}"))
        elif provider.loading > 0:
            provider.loading -= 1
            self._send(Fault.of(503, "Loading model", "unavailable_error"))
        else:
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in provider.models]
            self._send(Fault(200, body={"object": "list", "data": models}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.provider.reply_to(request, headers)
        reply = reply if isinstance(reply, Fault) else as_reply(reply)
        self.server.provider.closing.wait(reply.delay)
        if isinstance(reply, Fault):
            is_event = request.get("stream") and reply.status == 200 and not isinstance(reply.body, str)
            self._send(Fault(200, EVENT_STREAM, f"data: {json.dumps(reply.body)}\n\n") if is_event else reply)
        elif request.get("stream") and (reply.text or not reply.error):
            self._stream(reply, request)
        elif not reply.error:
            self._send(Fault(200, body=completion(reply, request)))

    def _send(self, fault: Fault) -> None:
        content = fault.content()
        self.send_response(fault.status)
        for name, value in {"Content-Type": "application/json", **fault.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, reply: Reply, request: JsonObject) -> None:
        self.send_response(200)
        for name, value in EVENT_STREAM.items():
            self.send_header(name, value)
        self.end_headers()
        for event in events(reply, request):
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep tests quiet."""


def events(reply: Reply, request: JsonObject) -> Iterator[JsonObject]:
    """Yield the events of a streamed reply: its words, then tool calls and finish reason, then the usage."""
    model = str(request.get("model"))
    base = {"id": "chatcmpl-test", "object": "chat.completion.chunk", "created": 0, "model": model}
    role: JsonObject = {"role": "assistant"}
    for chunk in chunks(reply, call_of(request), model):
        message, ends = chunk.message, chunk.generation_info or {}
        delta = role | {"content": message.content or None} | message.additional_kwargs | _calls(message)
        yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": ends.get("finish_reason")}]}
        role = {}
        usage = message.usage_metadata if isinstance(message, AIMessageChunk) else None
    if usage:
        counts = {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]}
        yield {**base, "choices": [], "usage": {**counts, "total_tokens": usage["total_tokens"]}}


def _calls(message: Any) -> JsonObject:
    calls = [
        {"index": part["index"], "id": part["id"], "type": "function"}
        | {"function": {"name": part["name"], "arguments": part["args"]}}
        for part in message.tool_call_chunks
    ]
    return {"tool_calls": calls} if calls else {}


def completion(reply: Reply, request: JsonObject) -> JsonObject:
    """Return the body of a reply in one piece."""
    *parts, last = (event for event in events(reply, request))
    deltas = [event["choices"][0]["delta"] for event in parts]
    content = "".join(delta["content"] or "" for delta in deltas) or None
    message = {**deltas[-1], "role": "assistant", "content": content}
    for call in message.get("tool_calls", ()):
        del call["index"]
    choice = {**parts[-1]["choices"][0], "message": message}
    del choice["delta"]
    return {**last, "object": "chat.completion", "choices": [choice]}
