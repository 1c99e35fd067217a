"""A loopback OpenAI-compatible provider with set latencies, in a process of its own.

    with provider() as base_url: ...

The name of a model says what it replies and after how many seconds: `work@0.1`; where it does not say that,
`<wait 0.3>` in a request does. Kinds: `work` (a draft, numbered on from those it sees), `plan` (the plan in the request
after `PLAN `, as it stands there), `rank` (the agent `worker`), `verdict` (accepts draft 3), `peer3` (hands over to
`peer4` if it has the tool). A streamed reply takes the same time in all, from its first piece to its last.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

PIECE = 12
"""Characters of one piece of a streamed reply."""

_WAIT = re.compile(r"<wait ([\d.]+)>")
_DRAFT = re.compile(r"draft (\d+)")


def _text_of(messages: list[dict[str, Any]]) -> str:
    contents = (message.get("content") or "" for message in messages)
    return "\n".join(text if isinstance(text, str) else json.dumps(text) for text in contents)


def reply(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the message that answers a request."""
    kind = asked["model"].partition("@")[0]
    text = _text_of(asked["messages"])
    drafts = [int(number) for number in _DRAFT.findall(text)]
    if kind == "plan":
        return _says(text[text.rindex("PLAN ") + 5 :].splitlines()[0])
    if kind == "rank":
        return _says(json.dumps({"reason": "it suits", "candidates": [{"agent": "worker", "confidence": 0.9}]}))
    if kind == "verdict":
        good = max(drafts, default=0) >= 3
        judged = {f"criterion_{number}": {"evidence": "seen", "met": good} for number in (1, 2)}
        feedback = "" if good else f"Make change number {max(drafts, default=0)}."
        return _says(json.dumps({"criteria": judged, "feedback": feedback, "acceptable": good}))
    if kind.startswith("peer"):
        following = f"handoff_to_peer{int(kind[4:]) + 1}"
        if any(tool["function"]["name"] == following for tool in asked.get("tools", ())):
            call = {"name": following, "arguments": json.dumps({"task": "Go on.", "reason": "next"})}
            return {**_says(None), "tool_calls": [{"id": f"call_{kind}", "type": "function", "function": call}]}
    return _says(f"draft {max(drafts, default=0) + 1}")


def _says(text: str | None) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _whole(asked: dict[str, Any], message: dict[str, Any], cached: int) -> bytes:
    usage = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked["model"],
        "choices": [
            {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
        ],
        "usage": {**usage, "prompt_tokens_details": {"cached_tokens": cached}},
    }
    return json.dumps(body).encode()


async def _pieces(asked: dict[str, Any], message: dict[str, Any], seconds: float) -> AsyncIterator[bytes]:
    """Yield server-sent events: the text in pieces, spread over some seconds."""
    text = message["content"] or ""
    pieces: list[dict[str, Any]] = [
        {"role": "assistant", "content": text[start : start + PIECE]} for start in range(0, len(text), PIECE)
    ]
    if "tool_calls" in message:
        pieces.append({"tool_calls": [{"index": 0, **call} for call in message["tool_calls"]]})
    reason = "tool_calls" if "tool_calls" in message else "stop"
    about = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": asked["model"],
    }
    for number, delta in enumerate([*pieces, {"role": "assistant"}]):
        await asyncio.sleep(seconds / len(pieces) if number < len(pieces) else 0)
        choice = {"index": 0, "delta": delta, "finish_reason": None if number < len(pieces) else reason}
        yield b"data: " + json.dumps({**about, "choices": [choice]}).encode() + b"\n\n"
    usage = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
    yield b"data: " + json.dumps({**about, "choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


class Seen:
    """Counts which part of a request's text began an earlier one: what a provider's prompt cache would hold."""

    def __init__(self) -> None:
        self._prefixes: set[str] = set()

    def cached(self, text: str, step: int = 512) -> int:
        """Return how many characters from the start of a text were seen before, in whole steps."""
        known = 0
        for end in range(step, len(text) + 1, step):
            if text[:end] in self._prefixes:
                known = end
            self._prefixes.add(text[:end])
        return known


async def _serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
            asked = json.loads(await reader.readexactly(length))
            text = _text_of(asked["messages"])
            waits = _WAIT.findall(text)
            of_model = asked["model"].partition("@")[2]
            seconds = float(of_model or (waits[-1] if waits else 0))
            if asked.get("stream"):
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                async for piece in _pieces(asked, reply(asked), seconds):
                    writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
            else:
                await asyncio.sleep(seconds)
                body = _whole(asked, reply(asked), seen.cached(text))
                headers = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(headers.encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _serve() -> None:
    seen = Seen()
    server = await asyncio.start_server(
        lambda reader, writer: _serve_connection(reader, writer, seen), "127.0.0.1", 0, backlog=2048, limit=2**24
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def provider() -> Iterator[str]:
    """Run the provider in a process; yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.loopback"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


def _end_with_parent() -> None:
    """End this process when the one that began it is gone, however that ended."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(_serve())
