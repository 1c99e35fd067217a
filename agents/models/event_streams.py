"""Detection of streams that were cut off, where a server sends no finish reason.

The OpenAI client ends in the same way at `[DONE]` and where a connection closes, so a streamed reply without a finish
reason counts as cut off. Where `[DONE]` comes without one, it is added here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

_REASON = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
_DONE = re.compile(rb"^data:\s?\[DONE\]", re.MULTILINE)
_FINISH = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
_OVERLAP = 32
"""Bytes of the last part that are searched with the next one."""


class FinishedStream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A streamed reply of chat completions that has a finish reason if it is whole."""

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
