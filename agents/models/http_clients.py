"""HTTP clients that keep connections: one per provider and event loop, shared by all models of a base URL."""

import asyncio
import os
import re
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import httpx2
import openai

KEEP_ALIVE = httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=30)
"""The OpenAI client's own limits, except that an idle connection is kept for 30 seconds, not 5: agents pause."""
_REASON = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
_DONE = re.compile(rb"^data:\s?\[DONE\]", re.MULTILINE)
_FINISH = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
_OVERLAP = 32
"""Bytes of the last part that are searched with the next one."""


class FinishedStream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A streamed reply of chat completions that has a finish reason if it is whole.

    The OpenAI client ends in the same way at `[DONE]` and where a connection closes, so a streamed reply without a
    finish reason counts as cut off. Where `[DONE]` comes without one, it is added here.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._before = b""
        self._has_reason = False

    def __iter__(self) -> Iterator[bytes]:
        yield from map(self._finished, self._stream)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield self._finished(part)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _finished(self, part: bytes) -> bytes:
        self._has_reason = self._has_reason or _REASON.search(self._before + part) is not None
        self._before = part[-_OVERLAP:]
        if self._has_reason or not (done := _DONE.search(part)):
            return part
        return part[: done.start()] + _FINISH + part[done.start() :]


def with_finish_reason(response: httpx2.Response) -> httpx2.Response:
    """Add the finish reason to the response if it is a stream of chat completions."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    if is_stream and response.request.url.path.endswith("/chat/completions"):
        response.stream = FinishedStream(response.stream)
    return response


class SyncClient(openai.DefaultHttpxClient):
    """A client for all threads; its connections close when the last model that uses it is dropped."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; a streamed reply that is whole has a finish reason."""
        return with_finish_reason(super().send(request, **options))

    def __del__(self) -> None:
        if not self.is_closed:
            self.close()


class AsyncClient(openai.DefaultAsyncHttpxClient):
    """A client for every event loop: each loop has connections of its own, which close when it ends.

    A connection belongs to the loop that opened it. Another loop can still write to it but never reads the reply: the
    call fails after the server received it, and the retry sends it a second time.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._options = options
        self._by_loop: dict[asyncio.AbstractEventLoop, tuple[httpx2.AsyncClient, AsyncGenerator[None]]] = {}
        self._lock = threading.Lock()

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            client = openai.DefaultAsyncHttpxClient(**self._options)
            open_until_end = self._open_until_end(loop, client)
            await anext(open_until_end)  # does not yet suspend, so no other task of this loop comes in between
            with self._lock:
                for closed in [other for other in self._by_loop if other.is_closed()]:  # without shutting down
                    del self._by_loop[closed]
                self._by_loop[loop] = client, open_until_end
        return with_finish_reason(await self._by_loop[loop][0].send(request, **options))

    async def _open_until_end(
        self, loop: asyncio.AbstractEventLoop, client: httpx2.AsyncClient
    ) -> AsyncGenerator[None]:
        """Close a loop's client with the loop: asyncio closes all open async generators before a loop ends."""
        try:
            yield
        finally:
            await client.aclose()
            with self._lock:
                self._by_loop.pop(loop, None)


def shared_clients(
    base_url: str | None, *, trust_env: bool = True, auth: httpx2.Auth | None = None
) -> tuple[SyncClient, AsyncClient]:
    """Return the clients of a provider; `trust_env=False` ignores the environment's proxies and certificates."""
    environment = frozenset(
        item for item in os.environ.items() if item[0].upper().endswith(("_PROXY", "SSL_CERT_FILE"))
    )
    key = (base_url, environment if trust_env else None, auth)
    with _lock:
        sync, asynchronous = _sync.get(key), _async.get(key)
        if sync is None or asynchronous is None:
            options: dict[str, Any] = {
                "auth": auth,
                "trust_env": trust_env,
                "limits": KEEP_ALIVE,
                "verify": _ssl_context(key[1]),
            }
            sync = _sync[key] = SyncClient(**options)
            asynchronous = _async[key] = AsyncClient(**options)
        return sync, asynchronous


@cache
def _ssl_context(environment: frozenset[tuple[str, str]] | None) -> ssl.SSLContext:
    """Read the certificates once, which takes as long as a call; `None` ignores the environment."""
    return httpx2.create_ssl_context(trust_env=environment is not None)


_lock = threading.Lock()
_sync: WeakValueDictionary[Any, SyncClient] = WeakValueDictionary()
_async: WeakValueDictionary[object, AsyncClient] = WeakValueDictionary()
